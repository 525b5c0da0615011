//! The page is embedded: a new page means a new binary.

fn main() {
    println!("cargo:rerun-if-changed=ui/dist");
}
