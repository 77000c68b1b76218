//! `muniment ca`: the firm's certificate authority.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::app::arguments::CertificateForm;
use crate::app::context::Context;
use crate::app::{AppError, Output, Verdict, recognition};
use crate::proxy::intercept::authority::Authority;
use crate::record::{Digest, Timestamp};
use crate::settings::Settings;

/// The hosts the issuing certificate may speak for, as `serve` would have it.
fn names(settings: &Settings) -> Result<Vec<String>, AppError> {
    let (rules, _sources) = recognition::load(settings)?;
    let listed = recognition::listed(settings)?;
    Ok(recognition::hosts(&rules, &listed, settings).names())
}

#[derive(Serialize)]
struct Exported {
    /// What a person compares on a device.
    sha256: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pem: Option<String>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.pem) {
            (Some(file), _) => write!(f, "wrote {}; sha256 {}", file.display(), self.sha256),
            (None, Some(pem)) => f.write_str(pem),
            (None, None) => Ok(()),
        }
    }
}

pub(in crate::app) fn export(
    settings: Settings,
    form: CertificateForm,
    out: Option<&Path>,
    output: Output,
) -> Result<Verdict, AppError> {
    let authority = Context::open(settings)?.authority()?;
    let (der, pem) = (authority.export_der(), authority.export_pem());
    let sha256 = Digest::of(&[&der]);
    let bytes = match form {
        CertificateForm::Pem => pem.as_bytes(),
        CertificateForm::Der => &der,
    };
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| AppError::Unwritable { path, source }
    };
    match (out, form) {
        (Some(path), _) => {
            std::fs::write(path, bytes).map_err(unwritable(path))?;
            output.print(&Exported { sha256, file: Some(path.to_owned()), pem: None })?;
        }
        (None, CertificateForm::Der) if !output.is_json() => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(AppError::Output)?;
        }
        (None, _) => output.print(&Exported { sha256, file: None, pem: Some(pem) })?,
    }
    Ok(Verdict::Done)
}

#[derive(Serialize)]
struct Changed {
    /// What devices must trust from now on.
    sha256: Digest,
    /// The subject of the issuing certificate in use.
    issuing: String,
    /// When that one ends.
    until: Timestamp,
    /// Where the root that was replaced is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<PathBuf>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "issuing certificate `{}`, until {}", self.issuing, self.until)?;
        match &self.replaced {
            Some(path) => write!(
                f,
                "devices must trust the new root now (sha256 {}); the old one is kept in {}",
                self.sha256,
                path.display()
            ),
            None => write!(f, "devices need no change; a running `serve` takes it up within a minute"),
        }
    }
}

impl Changed {
    fn of(authority: &Authority, replaced: Option<PathBuf>) -> Result<Self, AppError> {
        let issuer = authority.issuer()?;
        let sha256 = Digest::of(&[&authority.export_der()]);
        Ok(Self { sha256, issuing: issuer.subject().to_owned(), until: issuer.until(), replaced })
    }
}

pub(in crate::app) fn rotate(settings: Settings, output: Output) -> Result<Verdict, AppError> {
    let names = names(&settings)?;
    let authority = Context::open(settings)?.authority()?;
    authority.rotate(&names)?;
    output.print(&Changed::of(&authority, None)?)?;
    Ok(Verdict::Done)
}

pub(in crate::app) fn import(
    settings: Settings,
    certificate: &Path,
    key: &Path,
    output: Output,
) -> Result<Verdict, AppError> {
    let read = |path: &Path| {
        let wrong = |source| AppError::Unreadable { path: path.to_owned(), source };
        std::fs::read_to_string(path).map(Zeroizing::new).map_err(wrong)
    };
    let (certificates, key) = (read(certificate)?, read(key)?);
    let names = names(&settings)?;
    let authority = Context::open(settings)?.authority()?;
    let replaced = authority.import(&certificates, &key, &names)?.kept;
    output.print(&Changed::of(&authority, replaced)?)?;
    Ok(Verdict::Done)
}
