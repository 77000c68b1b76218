//! `muniment ca`: the firm's certificate authority.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::arguments::CertificateForm;
use crate::app::context::Context;
use crate::app::{AppError, Output, Verdict, recognition};
use crate::record::Digest;
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
    let names = names(&settings)?;
    let context = Context::open(settings)?;
    let authority = context.authority(&names)?;
    let (der, pem) = (authority.root(), authority.root_pem());
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
