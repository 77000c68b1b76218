//! What a command says: for a person, or as one JSON object. Answers go to standard output, everything else to standard error.

use std::error::Error as _;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::AppError;

/// Where and how a command answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the answer is read by a program.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// The same without words on the way.
    pub(crate) const fn quiet(self) -> Self {
        Self { json: true }
    }

    /// The command's one answer.
    pub(crate) fn print<T: Serialize + Display>(self, answer: &T) -> Result<(), AppError> {
        let text = if self.json { serde_json::to_string(answer)? } else { answer.to_string() };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).map_err(AppError::Output)
    }

    /// A word on the way, for a person only.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            to_stderr(&text.to_string());
        }
    }

    /// Why the command could not do it.
    pub(crate) fn error(self, error: &AppError) -> Refused {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            // Errors that show their source in their own words would say it twice.
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        if self.json {
            let value = json!({"error": {"message": error.to_string(), "causes": causes, "hint": error.hint()}});
            to_stderr(&value.to_string());
        } else {
            let mut text = format!("muniment: {error}");
            for cause in causes {
                text.push_str(&format!("\n  because: {cause}"));
            }
            if let Some(hint) = error.hint() {
                text.push_str(&format!("\n  hint: {hint}"));
            }
            to_stderr(&text);
        }
        Refused(error.exit_code())
    }
}

/// The exit code of a command that could not be done.
pub(crate) struct Refused(u8);

impl From<Refused> for ExitCode {
    fn from(refused: Refused) -> Self {
        Self::from(refused.0)
    }
}

/// Arguments that cannot be meant, and the texts of `--help` and `--version`.
pub(super) fn usage(error: &clap::Error, json: bool) -> ExitCode {
    let wanted = !error.use_stderr();
    if json && !wanted {
        let value =
            json!({"error": {"message": error.to_string().trim(), "causes": [], "hint": "see muniment --help"}});
        to_stderr(&value.to_string());
    } else if error.print().is_err() {
        return ExitCode::FAILURE;
    }
    if wanted { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn to_stderr(text: &str) {
    let mut err = std::io::stderr().lock();
    // When standard error is gone there is nowhere left to say so.
    let _gone = writeln!(err, "{text}");
}
