//! Four locks, each of which would do for most of what is feared: limits of the
//! process, no new privileges, Landlock, and a list of the system calls that decoding
//! needs. Without the last one nothing is decoded.

use crate::Work;
use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope};
use media::job::Landlock;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;

type Failure = Box<dyn std::error::Error>;

/// Memory, all of it: libraries, code and pictures.
const MEMORY: u64 = 512 << 20;
/// Seconds of computing that a still picture may take. Streams have no such end;
/// the gateway sees whether they keep up.
const STILL_SECONDS: u64 = 10;

/// Locks the process in, for good. Says how far Landlock goes on this kernel.
pub fn enter(work: Work) -> Result<Landlock, Failure> {
    // No other process of this user looks into the memory, and no picture into a core file.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Also says that nothing which is executed gains privileges.
    let landlock = landlock();
    limits(work)?;
    // What comes first is asked last: the list must be there when the others are.
    apply_filter(&no_clone3()?)?;
    apply_filter(&never()?)?;
    apply_filter(&allowed()?)?;
    Ok(landlock)
}

fn landlock() -> Landlock {
    // A kernel that knows less enforces what it knows.
    let enforced = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match enforced.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Landlock::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Landlock::Partly,
        Ok(RulesetStatus::NotEnforced) | Err(_) => Landlock::None,
    }
}

fn limits(work: Work) -> Result<(), Failure> {
    let limit =
        |resource, most: u64| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::As, MEMORY)?;
    limit(Resource::Core, 0)?;
    // stdin, stdout and stderr are there; there will be no other.
    limit(Resource::Nofile, 3)?;
    if work == Work::Still {
        limit(Resource::Cpu, STILL_SECONDS)?;
    }
    Ok(())
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Failure> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?)
}

/// A list of calls: `matched` for those in it, `other` for all others.
fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    matched: SeccompAction,
    other: SeccompAction,
) -> Result<BpfProgram, Failure> {
    Ok(SeccompFilter::new(rules, other, matched, std::env::consts::ARCH.try_into()?)?.try_into()?)
}

fn refused(error: i32) -> SeccompAction {
    SeccompAction::Errno(error.unsigned_abs())
}

/// What decoding needs. Anything else is refused like something that is not permitted,
/// so that a C library which only asks goes on.
fn allowed() -> Result<BpfProgram, Failure> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        // Memory.
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // Locks, which a single thread passes without waiting.
        libc::SYS_futex,
        // The time, and chance for hash tables.
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        // Where it is: who asks is only told numbers.
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        // Signals to itself end here.
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        // Refused below, in the way that its callers understand.
        libc::SYS_clone3,
    ]
    .into_iter()
    .map(|call| (call, vec![]))
    .collect();
    let read_stdin = SeccompRule::new(vec![condition(0, SeccompCmpOp::Eq, 0)?])?;
    let to = |file| Ok::<_, Failure>(SeccompRule::new(vec![condition(0, SeccompCmpOp::Eq, file)?])?);
    // Only the three files it was given: what else the gateway may have left open is out of reach.
    rules.insert(libc::SYS_read, vec![read_stdin]);
    rules.insert(libc::SYS_write, vec![to(1)?, to(2)?]);
    // Memory that is no file and that no code is run from.
    let anonymous = u64::from(libc::MAP_ANONYMOUS.unsigned_abs());
    let exec = u64::from(libc::PROT_EXEC.unsigned_abs());
    let no_code = || condition(2, SeccompCmpOp::MaskedEq(exec), 0);
    let no_file = condition(3, SeccompCmpOp::MaskedEq(anonymous), anonymous)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![no_code()?, no_file])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![no_code()?])?]);
    filter(rules, SeccompAction::Allow, refused(libc::EPERM))
}

/// What no decoder has ever a reason for. Who tries has been taken over and ends here;
/// the gateway sees the signal and says so.
fn never() -> Result<BpfProgram, Failure> {
    let rules = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
    ];
    let rules = rules.into_iter().map(|call| (call, vec![])).collect();
    filter(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// Its flags are in memory, where no filter can look: "not known" makes the C library
/// fall back to `clone`, which is not in the list. There are no threads either: all
/// codecs are opened with one.
fn no_clone3() -> Result<BpfProgram, Failure> {
    let rules = [(libc::SYS_clone3, vec![])].into();
    filter(rules, refused(libc::ENOSYS), SeccompAction::Allow)
}
