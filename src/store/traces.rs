//! Whether somebody has written to a database that is a file, seen from outside: looking at two
//! files costs next to nothing, while a question through a connection wakes three threads.

use crate::Store;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// What a file looks like from outside: when it was written last, and its length.
type Mark = Option<(SystemTime, u64)>;

/// The traces that whoever writes leaves, of this process or another. They come before what was
/// written can be read: SQLite makes it durable in between.
#[derive(Debug)]
pub struct Traces {
    /// The database and its log.
    files: [PathBuf; 2],
    seen: [Mark; 2],
}

impl Traces {
    fn new(file: PathBuf) -> Self {
        let mut log = file.clone().into_os_string();
        log.push("-wal");
        Self { files: [file, log.into()], seen: [None, None] }
    }

    /// Whether there are new ones since the last look; a file that cannot be seen may always have
    /// some. Waits for the disk.
    pub fn are_new(&mut self) -> bool {
        let mark = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        let now = [mark(&self.files[0]), mark(&self.files[1])];
        let before = std::mem::replace(&mut self.seen, now);
        now != before || now[0].is_none()
    }
}

impl Store {
    /// The traces of who writes to this database; nothing if it is on a server.
    #[must_use]
    pub fn traces(&self) -> Option<Traces> {
        self.file.clone().map(Traces::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_leaves_a_trace_and_who_looks_does_not() {
        let path = std::env::temp_dir().join(format!("sharp-eyes-traces-{}", std::process::id()));
        let mut traces = Traces::new(path.clone());
        assert!(traces.are_new() && traces.are_new(), "what cannot be seen may have changed");
        fs::write(&path, "1").unwrap();
        assert_eq!([traces.are_new(), traces.are_new()], [true, false]);
        let log = traces.files[1].clone();
        fs::write(&log, "1").unwrap();
        assert_eq!([traces.are_new(), traces.are_new()], [true, false]);
        // A log that is begun anew keeps its length.
        fs::File::options().write(true).open(&log).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!([traces.are_new(), traces.are_new()], [true, false]);
        fs::remove_file(path).unwrap();
        assert!(traces.are_new());
        fs::remove_file(log).unwrap();
    }
}
