//! Tries from inside what must not be possible, and says what became of it: the tests
//! and whoever doubts run it. It locks itself in exactly as for a still picture.

use crate::{Work, sandbox};
use std::hint::black_box;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Somebody listens on every port for as long as it takes.
const ADDRESS: &str = "127.0.0.1:9";

/// Runs one attempt. Prints `refused: …`, or `done` and ends with 1; an attempt that
/// is punished with death prints neither.
pub fn run(attempt: &str) -> ExitCode {
    let program = std::env::current_exe();
    match sandbox::enter(Work::Still) {
        Ok(landlock) => println!("locked in, Landlock: {landlock:?}"),
        Err(error) => {
            println!("not locked in: {error}");
            return ExitCode::from(3);
        }
    }
    let done: Result<(), String> = match attempt {
        "nothing" => Ok(()),
        "open" => std::fs::File::open("/etc/passwd").map(drop).map_err(said),
        "create" => std::fs::File::create("/tmp/sharp-eyes-decode-was-here").map(drop).map_err(said),
        "socket" => UdpSocket::bind("127.0.0.1:0").map(drop).map_err(said),
        "connect" => TcpStream::connect(ADDRESS).map(drop).map_err(said),
        "execve" => match program {
            Ok(program) => Err(said(Command::new(program).exec())),
            Err(error) => Err(said(error)),
        },
        "fork" => match program {
            Ok(program) => Command::new(program).spawn().map(drop).map_err(said),
            Err(error) => Err(said(error)),
        },
        "thread" => std::thread::Builder::new().spawn(|| {}).map(drop).map_err(said),
        "memory" => two_gibibytes(),
        "compute" => compute(),
        _ => return ExitCode::from(2),
    };
    match done {
        Ok(()) => {
            println!("done");
            ExitCode::FAILURE
        }
        Err(why) => {
            println!("refused: {why}");
            ExitCode::SUCCESS
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn said(error: std::io::Error) -> String {
    error.to_string()
}

fn two_gibibytes() -> Result<(), String> {
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(2 << 30).map_err(|error| error.to_string())?;
    memory.resize(2 << 30, 1);
    black_box(&memory);
    Ok(())
}

/// Ends when the limit of computing does.
fn compute() -> Result<(), String> {
    for n in 0..u64::MAX {
        black_box(n);
    }
    Ok(())
}
