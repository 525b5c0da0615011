//! The gateway as a process of its own, so that it can be killed.

use super::folder::Folder;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    /// The address it has printed: the owner's link while nobody owns it.
    pub link: String,
    /// What else it prints must have somewhere to go.
    _printed: BufReader<ChildStdout>,
}

impl Gateway {
    /// Runs `command`, which becomes the gateway, and waits for its address.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let link = loop {
            let mut line = String::new();
            assert!(printed.read_line(&mut line).unwrap() > 0, "the gateway has ended");
            if let Some(begin) = line.find("http") {
                break line[begin..].trim().to_owned();
            }
        };
        let address = link.split('/').nth(2).unwrap().parse().unwrap();
        Self { child, address, link, _printed: printed }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    /// SIGKILL: nothing is flushed, nothing is closed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has `command` run with `tests/support/{name}.c` in front of the C library's calls.
pub fn preload(command: &mut Command, folder: &Folder, name: &str) {
    let library = folder.path(&format!("{name}.so"));
    let source = format!("{}/tests/support/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-w", "-o"]).arg(&library).arg(source).arg("-ldl");
    let compiled = compile.output().expect("the C compiler that SQLite is built with");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    command.env("LD_PRELOAD", &library);
}

/// The program, about to serve with `folder/config.toml`.
pub fn serve(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharp-eyes"));
    command.args(["serve", "--config"]).arg(folder.path("config.toml"));
    command
}

/// Writes settings for a gateway of its own whose data is in `folder/data`.
pub fn configure(folder: &Folder, data: &str) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let data = folder.path(data);
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[rtsp]\nlisten = \"\"\n[webrtc]\nlisten = \"\"\n[database]\nurl = \"sqlite:{}\"\n\
         [secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"{}\"\n[events]\nspool_file = \"{}\"\n[disk]\nreserve_bytes = 0\n[log]\nfilter = \"error\"\n",
        data.join("test.db").display(),
        data.join("key").display(),
        data.join("spool").display(),
        data.join("events.spool").display()
    );
    std::fs::write(folder.path("config.toml"), config).unwrap();
}
