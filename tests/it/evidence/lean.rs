//! The verifier is lean: an outside expert builds it without a runtime, a socket, a database or TLS.

use std::process::Command;

#[test]
fn the_verifier_links_no_runtime_no_database_and_no_tls() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--no-default-features", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"sha2") && crates.contains(&"ed25519-dalek"));
    for banned in ["tokio", "sqlx", "hyper", "rustls", "axum", "aws-lc-rs", "ring", "openssl-sys", "mio", "socket2"] {
        assert!(!crates.contains(&banned), "{banned}");
    }
}
