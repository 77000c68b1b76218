//! Files the settings name: the data directory, the master key, certificates, roots.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Check;
use crate::settings::{MasterKey, Settings};

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![data_dir(&settings.data_dir), master_key(&settings.master_key)];
    if let Some(tls) = &settings.proxy.tls {
        checks.push(pair("proxy.tls", &tls.certificate, &tls.key));
    }
    if let Some(tls) = &settings.api.tls {
        checks.push(pair("api.tls", &tls.certificate, &tls.key));
    }
    checks.push(rules(settings));
    checks.extend(settings.upstream.extra_roots.iter().map(|path| roots(path)));
    checks
}

fn data_dir(dir: &Path) -> Check {
    const NAME: &str = "data_dir";
    let shown = dir.display();
    match std::fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            Check::wrong(NAME, format!("{shown} is not a directory"), "choose another data_dir")
        }
        Ok(found) if found.mode() & 0o022 != 0 => {
            Check::wrong(NAME, format!("others may write to {shown}"), format!("chmod go-w {shown}"))
        }
        Ok(_) => match rustix::fs::access(dir, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Check::ok(NAME, shown.to_string()),
            Err(_) => Check::wrong(
                NAME,
                format!("{shown} cannot be written to"),
                "run as its owner, or choose another data_dir",
            ),
        },
        Err(_) => {
            let above = super::existing(dir);
            match rustix::fs::access(above, rustix::fs::Access::WRITE_OK) {
                Ok(()) => Check::ok(NAME, format!("{shown} will be made at first start")),
                Err(_) => {
                    let hint = "make it for the service's user, or choose another data_dir";
                    Check::wrong(NAME, format!("{shown} cannot be made in {}", above.display()), hint)
                }
            }
        }
    }
}

fn master_key(key: &MasterKey) -> Check {
    const NAME: &str = "master key";
    let (path, may_make) = match key {
        MasterKey::File { path, may_make } => (path, may_make),
        MasterKey::Given(..) => return Check::ok(NAME, "from MUNIMENT_MASTER_KEY"),
        MasterKey::Command(_) => {
            return match crate::app::master::read(key) {
                Ok(_secrets) => Check::ok(NAME, "from keys.master_key_command"),
                Err(error) => Check::wrong(NAME, error.to_string(), "run it by hand; nothing starts without a key"),
            };
        }
    };
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => {
            Check::wrong(NAME, format!("{shown} can be read by others"), format!("chmod 600 {shown}"))
        }
        Ok(_) => Check::ok(NAME, shown.to_string()),
        Err(_) if *may_make => Check::ok(NAME, format!("{shown} will be made at first start: back it up")),
        Err(error) => Check::wrong(
            NAME,
            format!("{shown}: {error}"),
            "write 64 hex digits to it, such as `openssl rand -hex 32` prints",
        ),
    }
}

fn pair(name: &'static str, certificate: &Path, key: &Path) -> Check {
    let certificates = CertificateDer::pem_file_iter(certificate).map(|all| all.filter_map(Result::ok).count());
    match (certificates, PrivateKeyDer::from_pem_file(key)) {
        (Ok(0), _) => Check::wrong(name, format!("{} holds no certificate", certificate.display()), "give a PEM file"),
        (Ok(count), Ok(_)) => Check::ok(name, format!("{count} certificate(s) and a key")),
        (Err(error), _) => {
            Check::wrong(name, format!("{}: {error}", certificate.display()), "give a PEM file that can be read")
        }
        (_, Err(error)) => {
            Check::wrong(name, format!("{}: {error}", key.display()), "give a PEM file that can be read")
        }
    }
}

fn roots(path: &Path) -> Check {
    const NAME: &str = "upstream.extra_roots";
    let shown = path.display();
    match CertificateDer::pem_file_iter(path).map(|all| all.filter_map(Result::ok).count()) {
        Ok(0) => {
            Check::wrong(NAME, format!("{shown} holds no certificate"), "give a PEM file with BEGIN CERTIFICATE lines")
        }
        Ok(count) => Check::ok(NAME, format!("{count} root(s) in {shown}")),
        Err(error) => Check::wrong(NAME, format!("{shown}: {error}"), "give a PEM file that can be read"),
    }
}

fn rules(settings: &Settings) -> Check {
    const NAME: &str = "network rules";
    match crate::app::command::rules::load(settings.recognition.rules.as_deref()) {
        Ok(rules) => {
            let names: Vec<_> = rules.networks().map(|(name, _title, _digest)| name).collect();
            Check::ok(NAME, format!("{} ({})", names.join(", "), rules.digest()))
        }
        Err(error) => {
            Check::wrong(NAME, error.to_string(), "`muniment rules check` shows the same; a bad file is never loaded")
        }
    }
}
