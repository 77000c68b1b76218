//! Every command in the documents is run, in order, on a service with a kept post: what a reader pastes works.
//!
//! Blocks fenced ```` ```sh ```` are run; ```` ```console ```` and ```` ```text ```` are for reading (the two commands of the README are
//! what runs this test, and what `dev_run` tests).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::service::{Firm, Origin, TOKEN};

/// The commands of `docs/FORMAT.md` are run by `evidence`, which makes the archives they speak of.
const DOCUMENTS: &[&str] = &["README.md", "docs/operator-guide.md", "docs/officer-guide.md"];

#[test]
fn every_command_in_the_documents_works() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Bea Before"), "phone");
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    curl.json(&json!({ "status": "Buy low, sell high." })).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut run = 0;
    for name in DOCUMENTS {
        let blocks = blocks(&std::fs::read_to_string(root.join(name)).unwrap());
        run += blocks.len();
        // The blocks of one document are one reader's session: what one sets, the next uses.
        let script = blocks.join("\n");
        let output = Command::new("sh")
            .args(["-eu", "-c", &script])
            .current_dir(checkout(&firm, root))
            .env_clear()
            .env("PATH", path())
            .env("HOME", firm.dir())
            .env("MUNIMENT_CONFIG", firm.dir().join("muniment.toml"))
            .env("api", firm.api(""))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{script}\n---\n{said}\n---\n{errors}", output.status);
    }
    assert!(run >= 8, "only {run} blocks were found: the fences have changed");
    assert_eq!(service.stop(), 0);
}

/// A directory that looks like the checkout and may be written to.
fn checkout(firm: &Firm, root: &Path) -> PathBuf {
    let dir = firm.dir().join("checkout");
    if !dir.exists() {
        std::fs::create_dir(&dir).unwrap();
        for name in ["config", "tests", "docs", "docker-compose.yml"] {
            std::os::unix::fs::symlink(root.join(name), dir.join(name)).unwrap();
        }
    }
    dir
}

/// The program under test comes first.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_muniment"));
    format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap())
}

/// The `sh` blocks of a document.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (&mut open, line.trim_end()) {
            (None, "```sh") => open = Some(String::new()),
            (Some(block), "```") => {
                blocks.push(std::mem::take(block));
                open = None;
            }
            (Some(block), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn only_closed_sh_blocks_are_run() {
    assert_eq!(blocks("a\n```sh\none\n```\n```text\ntwo\n```\n```sh\nthree\n```\n"), ["one\n", "three\n"]);
}
