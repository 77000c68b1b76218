//! `muniment serve` as a firm runs it, with its own Postgres: what a held post has to pass in full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::others::free_port;
use crate::process::Process;

pub struct Service {
    pub process: Process,
    /// Name and secret of the device.
    pub login: String,
    pub root: PathBuf,
    program: PathBuf,
    directory: PathBuf,
}

impl Service {
    /// `program` is a release build. The settings are the defaults but for addresses and the origin.
    pub fn start(program: &Path, directory: &Path, origin: u16) -> Self {
        // The database runs as another user when we are root, and must be able to pass through.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).unwrap();
        let (proxy, api) = (free_port(), free_port());
        let settings = format!(
            "data_dir = \"data\"\n[proxy]\nlisten = \"127.0.0.1:{proxy}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n\
             [upstream]\nextra_roots = [\"origin-root.pem\"]\nresolve = {{ \"localhost\" = \"127.0.0.1:{origin}\" }}\nports = [{origin}]\n\
             [intercept]\nextra_hosts = [\"localhost\"]\n"
        );
        fs::write(directory.join("muniment.toml"), settings).unwrap();
        let command = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command.arg("--config").arg("muniment.toml").args(arguments).current_dir(directory).stdin(Stdio::null());
            command.env("HOME", directory);
            command
        };
        let process = Process::listening(&mut command(&["serve"]), proxy);
        let ask = |arguments: &[&str]| {
            let output = command(&[&["--json"], arguments].concat()).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let advisor = field(&ask(&["advisor", "add", "Ada"]), "id");
        let device = ask(&["device", "add", "--advisor", &advisor, "laptop"]);
        let login = format!("{}:{}", field(&device, "id"), field(&device, "secret"));
        ask(&["ca", "export", "--out", "root.pem"]);
        let (program, directory) = (program.to_owned(), directory.to_owned());
        Self { process, login, root: directory.join("root.pem"), program, directory }
    }

    /// How many entries the archive has, after it was verified in full.
    pub fn verified(&self) -> u64 {
        let mut command = Command::new(&self.program);
        command.args(["--config", "muniment.toml", "--json", "verify"]).current_dir(&self.directory);
        let output = command.env("HOME", &self.directory).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "the archive does not verify: {text}");
        field(&text, "entries").parse().unwrap()
    }
}

/// A member of a line of JSON that is known to be there.
fn field(json: &str, name: &str) -> String {
    let at = json.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
    let rest = json[at + name.len() + 3..].trim_start().trim_start_matches('"');
    rest.chars().take_while(|c| !matches!(c, '"' | ',' | '}')).collect()
}
