//! `muniment dispose --proof`: a document that a stranger can check, and a page that a person can read.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::visit::visit_lists;
use crate::app::{AppError, Output, Verdict};
use crate::bundle::{DisposalReport, Verdict as Found, verify_disposal};
use crate::ledger::VerifyingKey;
use crate::retain::Retain;
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    file: PathBuf,
    page: PathBuf,
    records: usize,
    rule: Option<String>,
    disposed_at: Option<String>,
    backups_expire_at: Option<String>,
    swept_at: Option<String>,
    verify: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        writeln!(
            f,
            "{} records, disposed of at {} by rule {}",
            self.records,
            said(&self.disposed_at),
            said(&self.rule)
        )?;
        writeln!(f, "the last backup that held them expires at {}", said(&self.backups_expire_at))?;
        writeln!(f, "proof in {}, for people in {}; whoever gets it runs:", self.file.display(), self.page.display())?;
        write!(f, "  {}", self.verify)
    }
}

pub(in crate::app) fn run(settings: Settings, of: Uuid, out: &Path, output: Output) -> Result<Verdict, AppError> {
    let firm = settings.firm.name.clone();
    let answer = visit_lists(settings, async |context, archive| {
        let retain = Retain::new(archive.clone(), Arc::clone(&context.ids));
        let json = retain.disposal_proof(of).await?.to_json();
        let vkey = context.signing.verifying_key().clone();
        // As whoever gets it will read it: what would not verify is not handed out.
        let report = verify_disposal(json.as_bytes(), std::slice::from_ref(&vkey), None);
        if report.verdict != Found::Verified {
            return Err(AppError::UnsoundProof(report.failures.join("; ")));
        }
        let page = out.with_extension("html");
        write(out, json.as_bytes())?;
        write(&page, html(&firm, &report, &vkey).as_bytes())?;
        Ok(Answer {
            file: out.to_owned(),
            page,
            records: report.records.len(),
            rule: report.rule,
            disposed_at: report.at,
            backups_expire_at: report.backups_expire_at,
            swept_at: report.swept_at,
            verify: format!("muniment-verify disposal {} --vkey '{vkey}'", out.display()),
        })
    })?;
    output.print(&answer)?;
    Ok(Verdict::Done)
}

/// Nothing is overwritten.
fn write(path: &Path, content: &[u8]) -> Result<(), AppError> {
    let unwritable = |source| AppError::Unwritable { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(unwritable)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One page that needs nothing else.
fn html(firm: &str, report: &DisposalReport, vkey: &VerifyingKey) -> String {
    let said = |text: &Option<String>| escaped(text.as_deref().unwrap_or("–"));
    let files = match (report.files, &report.swept_at) {
        (None | Some(0), _) => "no files belonged to them".to_owned(),
        (Some(files), Some(at)) => format!("{files} files of the disposal, all deleted by {}", escaped(at)),
        (Some(files), None) => {
            format!("{files} files of the disposal, still to be deleted; without their keys they are noise")
        }
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Proof of disposal</title>\n\
         <style>body{{font:15px/1.5 serif;max-width:44em;margin:3em auto;padding:0 1em}}th{{text-align:left;vertical-align:top;padding-right:2em}}\
         code{{font-size:85%;overflow-wrap:anywhere}}</style>\n\
         <h1>Proof of disposal</h1>\n<p>{} destroyed the keys and the content of the records named below. What is left of each is its entries in the ledger, whose \
         commitments nobody can open any more.</p>\n<table>\n",
        escaped(firm)
    );
    let rows = [
        ("Retention rule that ended", said(&report.rule)),
        ("Destroyed at", said(&report.at)),
        ("By", said(&report.by)),
        ("Entry of the ledger", report.index.map_or_else(|| "–".to_owned(), |index| index.to_string())),
        ("Sealed fields deleted by it", report.contents.map_or_else(|| "–".to_owned(), |count| count.to_string())),
        ("Files", files),
        (
            "Final from",
            format!("{}, when the last backup that held the keys has expired", said(&report.backups_expire_at)),
        ),
    ];
    for (name, value) in rows {
        let _written = writeln!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    page.push_str("</table>\n<h2>Records</h2>\n<ul>\n");
    for record in &report.records {
        let _written = writeln!(page, "<li><code>{record}</code></li>");
    }
    let _written = write!(
        page,
        "</ul>\n<h2>How to check it</h2>\n<p>With the file beside this page and the firm's verifier key, which you should have from elsewhere:</p>\n\
         <p><code>muniment-verify disposal FILE --vkey '{}'</code></p>\n</html>\n",
        escaped(&vkey.to_string())
    );
    page
}
