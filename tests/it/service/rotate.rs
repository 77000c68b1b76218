//! `muniment ca` from the command line, beside a running service; OpenSSL has the last word on every chain.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Firm, HOST, Origin, Phone, eventually, text};
use crate::proxy::support::peer::status;

fn sh(dir: &Path, command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The issuer of the leaf that a new connection is shown, after `openssl s_client` has verified the chain against `root`.
fn issuer(firm: &Firm, device: &super::Device, root: &Path) -> Result<String, String> {
    let port = firm.proxy;
    let command = format!(
        "openssl s_client -proxy 127.0.0.1:{port} -proxy_user {} -proxy_pass pass:{} -connect {HOST}:443 -servername {HOST} \
         -verify_hostname {HOST} -verify_return_error -CAfile {} </dev/null",
        device.id,
        device.secret,
        root.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.contains("Verify return code: 0 (ok)") {
        return Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    }
    let issuer = said.lines().find_map(|line| line.trim().strip_prefix("issuer=")).unwrap_or_default();
    Ok(issuer.to_owned())
}

fn refused(firm: &Firm, arguments: &[&str], passphrase: Option<&str>) -> Value {
    let mut command = firm.command(&[&["--json"], arguments].concat());
    if let Some(passphrase) = passphrase {
        command.env("MUNIMENT_CA_PASSPHRASE", passphrase);
    }
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{arguments:?} went through");
    let said: Value = serde_json::from_slice(&output.stderr).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    said["error"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_rotate_is_taken_up_by_a_running_service_and_open_connections_keep_theirs() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    let phone = Phone::new(&firm, &device, &[]);
    let root = firm.root();
    let get = format!("GET /api/v1/instance HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut open = phone.peer(HOST).await;
    open.send(&get).await;
    assert_eq!(status(&String::from_utf8(open.until_head().await).unwrap()), 200);
    let before = issuer(&firm, &device, &root).unwrap();

    let rotated = firm.ask(&["ca", "rotate"]);
    let subject = text(&rotated, "issuing");
    assert!(rotated["replaced"].is_null(), "devices need no change: {rotated}");
    let after = eventually(|| issuer(&firm, &device, &root).ok().filter(|issuer| *issuer != before));
    let name = |subject: &str| subject.split("CN").nth(1).unwrap().trim_start_matches([' ', '=']).to_owned();
    assert_eq!(name(&after), name(&subject), "the chain that OpenSSL accepts is the new one");

    open.send(&get).await;
    assert_eq!(status(&open.head().await), 200, "an open connection keeps its chain");
    assert_eq!(service.stop(), 0);
}

#[test]
fn a_firms_own_root_is_imported_used_at_once_and_the_one_before_is_kept() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let dir = firm.dir();
    let former = std::fs::read(firm.root()).unwrap();
    sh(
        dir,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -days 365 \
         -subj '/O=Example Advisers/CN=Own Root' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    let imported = firm.ask(&["ca", "import", "--certificate", "own.pem", "--key", "own.key"]);
    let fingerprint = sh(dir, "openssl x509 -in own.pem -outform der | sha256sum");
    assert!(fingerprint.starts_with(&text(&imported, "sha256")), "{imported} {fingerprint}");
    let replaced = text(&imported, "replaced");
    assert!(Path::new(&replaced).exists(), "the root before is kept: {imported}");
    let exported = std::fs::read(firm.root()).unwrap();
    assert_ne!(exported, former);
    assert_eq!(exported.trim_ascii(), std::fs::read(dir.join("own.pem")).unwrap().trim_ascii());
    let der = firm.command(&["ca", "export", "--form", "der"]).output().unwrap();
    assert!(
        fingerprint.starts_with(&hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&der.stdout))),
        "der is the same one"
    );

    let service = firm.serve();
    let device = firm.add_device(&firm.add_advisor("Ada Advisor"), "laptop");
    issuer(&firm, &device, &dir.join("own.pem")).unwrap();
    std::fs::write(dir.join("former.pem"), former).unwrap();
    assert!(issuer(&firm, &device, &dir.join("former.pem")).is_err());
    assert_eq!(service.stop(), 0);
}

#[test]
fn an_issuing_ca_without_name_constraints_is_refused_with_why_and_nothing_changes() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let dir = firm.dir();
    let before = std::fs::read(firm.root()).unwrap();
    sh(
        dir,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout corp.key -out corp.pem -days 365 \
         -subj '/CN=Corporate Root' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
         openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout iss.key -out iss.csr -subj '/CN=Corporate Issuing'
         printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign,cRLSign\\n' > iss.ext
         openssl x509 -req -in iss.csr -CA corp.pem -CAkey corp.key -CAcreateserial -days 10 -extfile iss.ext -out iss.crt
         cat iss.crt corp.pem > iss.pem",
    );
    let error = refused(&firm, &["ca", "import", "--certificate", "iss.pem", "--key", "iss.key"], None);
    assert!(
        error["message"].as_str().unwrap().contains("constrain") || error.to_string().contains("constrain"),
        "{error}"
    );
    // Another key than the certificate's, and a file that is none.
    let error = refused(&firm, &["ca", "import", "--certificate", "corp.pem", "--key", "iss.key"], None);
    assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    refused(&firm, &["ca", "import", "--certificate", "iss.ext", "--key", "iss.key"], None);
    refused(&firm, &["ca", "import", "--certificate", "nowhere.pem", "--key", "iss.key"], None);
    assert_eq!(std::fs::read(firm.root()).unwrap(), before);
}

#[test]
fn a_wrong_passphrase_is_refused_and_the_right_one_rotates() {
    let origin = Origin::start();
    let firm = Firm::new(&origin, "");
    let with = |passphrase: &str, arguments: &[&str]| {
        let output = firm.command(arguments).env("MUNIMENT_CA_PASSPHRASE", passphrase).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let right = "correct horse battery staple";
    assert!(with(right, &["ca", "rotate"]).0);
    let issuing = std::fs::read(firm.data().join("ca/issuing.pem")).unwrap();
    let error = refused(&firm, &["ca", "rotate"], Some("wrong horse battery staple"));
    assert!(error.to_string().contains("passphrase"), "{error}");
    let error = refused(&firm, &["ca", "rotate"], None);
    assert!(error.to_string().contains("passphrase"), "{error}");
    assert_eq!(std::fs::read(firm.data().join("ca/issuing.pem")).unwrap(), issuing);
    let (rotated, said) = with(right, &["ca", "rotate"]);
    assert!(rotated, "{said}");
    assert_ne!(std::fs::read(firm.data().join("ca/issuing.pem")).unwrap(), issuing);
}
