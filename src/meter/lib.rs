//! The system's allocator, with a meter: how many bytes a thread has taken from it,
//! less what it has given back.
//!
//! A library that is polled works on one thread until the poll ends. So the difference of
//! [`net`] around the poll is what the library has come to hold in it, whatever it is made of,
//! and whoever polls can end a session that holds too much (`relay::ingest`).
//!
//! A program installs it with `#[global_allocator]`; where nobody has, [`net`] stays 0. Depends
//! on libc only. The one crate that may use `unsafe`: the trait asks for it, and all of it is
//! handing calls on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Without a destructor and constant: reading it allocates nothing and cannot fail.
    static NET: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread has allocated, less those it has freed. Below zero where a thread frees
/// what others have made, so only differences mean something.
#[must_use]
pub fn net() -> isize {
    NET.get()
}

/// Blocks from this size on are given back to the system when they are freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Has large blocks given back to the system at once when they are freed. By itself glibc begins
/// to keep blocks of up to 32 MiB as soon as one has been freed, in each thread's arena: what one
/// camera has taken for a moment would stay taken. Called once, when a program begins.
pub fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers, locks what it changes, and ignores what it does not know.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        // What glibc itself makes of that threshold.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGE);
    }
}

/// The system's allocator; each call costs an addition more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metered;

fn took(bytes: usize) {
    NET.set(NET.get().wrapping_add_unsigned(bytes));
}

fn gave(bytes: usize) {
    NET.set(NET.get().wrapping_sub_unsigned(bytes));
}

// SAFETY: every call goes to `System` with the arguments as they came, and its answer back; the
// meter between is a number of this thread that allocates nothing and does not panic.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `GlobalAlloc` asks, which is what `System` asks.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            took(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`. Handed on, because the system has pages that are zero already.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if !pointer.is_null() {
            took(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; what is freed was made by `System` with this layout.
        unsafe { System.dealloc(pointer, layout) };
        gave(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the caller answers for `size`.
        let grown = unsafe { System.realloc(pointer, layout, size) };
        if !grown.is_null() {
            took(size);
            gave(layout.size());
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Metered = Metered;

    #[test]
    fn counts_what_is_taken_grown_and_given_back() {
        let before = net();
        let mut taken: Vec<u8> = Vec::with_capacity(1_000);
        assert_eq!(net() - before, 1_000);
        taken.reserve_exact(5_000);
        assert_eq!(net() - before, 5_000);
        let zeroed = std::hint::black_box(vec![0_u8; 300]);
        assert_eq!(net() - before, 5_300);
        drop((taken, zeroed));
        assert_eq!(net(), before);
    }

    #[test]
    fn what_one_thread_takes_is_not_counted_for_another() {
        let before = net();
        let taken = std::thread::scope(|scope| {
            let take = || {
                let taken = Vec::<u8>::with_capacity(1 << 20);
                (taken, net())
            };
            scope.spawn(take).join().unwrap()
        });
        // What it takes to run a thread is counted where it happens, too.
        let about = |bytes: isize, wanted: isize| (bytes - wanted).abs() < 1 << 16;
        assert!(about(taken.1, 1 << 20), "{}", taken.1);
        assert!(about(net() - before, 0), "{}", net() - before);
        drop(taken);
        assert!(about(net() - before, -1 << 20), "it was given back here: {}", net() - before);
    }
}
