//! New migrations compile the program anew, as changed ones do by themselves.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
