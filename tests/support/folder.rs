//! A temporary folder that goes with its owner.

use std::path::PathBuf;

#[derive(Default)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("sharp-eyes-{}", web::token::hex(&web::token::random::<8>()));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
