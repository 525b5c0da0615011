//! A file that holds room on the disk for what must be written when it is full.

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// What is written at a time where room cannot be had by asking.
const CHUNK: usize = 1 << 20;

/// The file, whether it holds room or not.
#[derive(Clone, Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// A reserve of so many bytes in this file.
    #[must_use]
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&self.path)
    }

    /// Bytes that are free on its disk.
    pub fn free(&self) -> io::Result<u64> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let disk = statvfs(folder.unwrap_or_else(|| ".".as_ref()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether it is there, and not only its length: a copy may have left the zeros out.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let whole = |file: std::fs::Metadata| file.len() == self.bytes && file.blocks() * 512 >= self.bytes;
        std::fs::metadata(&self.path).is_ok_and(whole)
    }

    /// Whether the disk lets a file be opened for writing. A file system that has become
    /// read-only does not.
    pub fn touch(&self) -> io::Result<()> {
        self.open().map(|_| ())
    }

    /// Whether the disk takes what is written, and makes it durable. Some kernels do not say
    /// that a file system has become read-only; and of one that hangs much can still be asked.
    pub fn probe(&self) -> io::Result<()> {
        let file = self.open()?;
        match file.write_at(&[0], 0).and_then(|_| file.sync_data()) {
            // Being full is another matter.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            written => written,
        }
    }

    /// Makes it. What was begun and does not fit is given up again.
    pub fn build(&self) -> io::Result<()> {
        let file = self.open()?;
        let built = self.fill(&file);
        if built.is_err() {
            file.set_len(0)?;
        }
        built
    }

    fn fill(&self, mut file: &File) -> io::Result<()> {
        file.set_len(0)?;
        match fallocate(file, FallocateFlags::empty(), 0, self.bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            done => return done.map_err(io::Error::from).and_then(|()| file.sync_all()),
        }
        let (zeros, mut left) = (vec![0; CHUNK], self.bytes);
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            file.write_all(zeros.get(..some).unwrap_or_default())?;
            left -= some as u64;
        }
        file.sync_all()
    }

    /// Gives its room to others.
    pub fn give_up(&self) -> io::Result<()> {
        let file = self.open()?;
        file.set_len(0)?;
        // Some file systems give it away only when that is durable.
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c37_a_reserve_is_room_that_is_really_taken() {
        let path = std::env::temp_dir().join(format!("reserve-{}", web::token::new()));
        let reserve = Reserve::new(path.clone(), 3 << 20);
        assert!(!reserve.is_held());
        reserve.build().unwrap();
        reserve.probe().unwrap();
        assert!(reserve.is_held() && reserve.free().unwrap() > 0);
        // Its length alone is nothing.
        let hollow = File::create(&path).unwrap();
        hollow.set_len(3 << 20).unwrap();
        assert!(!reserve.is_held());
        reserve.give_up().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        std::fs::remove_file(&path).unwrap();
        let nowhere = Reserve::new("/nonexistent/folder/reserve".into(), 1);
        assert!(nowhere.free().is_err() && nowhere.touch().is_err());
        assert!(nowhere.probe().is_err() && nowhere.build().is_err());
    }
}
