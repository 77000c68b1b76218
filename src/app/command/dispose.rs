//! `muniment dispose`: what may go by the schedule, shown; and, once confirmed, let go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::table::Table;
use super::visit::{operator, visit_lists};
use crate::access::{Operation, Purpose, Seen, look_by_command};
use crate::app::arguments::Dispose;
use crate::app::join::ArchiveBlobs;
use crate::app::{AppError, Output, Verdict, in_force, recognition, schedule};
use crate::archive::Append as _;
use crate::record::{AdvisorId, HoldId, RecordId, Timestamp};
use crate::retain::schedule::Schedule;
use crate::retain::{Order, Retain, Survey};
use crate::settings::Settings;

#[derive(Serialize)]
struct Answer {
    /// Whether anything was let go, or only looked at.
    confirmed: bool,
    rules: Vec<Rule>,
    advisors: Vec<Advisor>,
    due: u64,
    disposed: u64,
    held: u64,
    holds: BTreeMap<HoldId, u64>,
    too_young: u64,
    /// The archive's own floor, and how many records it keeps that the schedule would let go.
    floor: Option<String>,
    under_floor: u64,
    next: Option<Timestamp>,
    /// What is no communication: kept as long as the archive.
    evidence: u64,
    unreadable: u64,
    unreadable_records: Vec<RecordId>,
    left: Vec<Left>,
    blind_holds: u64,
    /// When the last backup that holds what went expires: only then is the disposal final.
    #[serde(skip_serializing_if = "Option::is_none")]
    backups_expire_in_days: Option<u64>,
    /// Files deleted.
    swept: u64,
}

#[derive(Serialize)]
struct Rule {
    rule: String,
    cites: String,
    keep: String,
    runs_from: &'static str,
    due: u64,
    disposed: u64,
}

#[derive(Serialize)]
struct Advisor {
    advisor: Option<AdvisorId>,
    due: u64,
}

#[derive(Serialize)]
struct Left {
    record: RecordId,
    why: String,
}

impl Answer {
    fn new(schedule: &Schedule, survey: Survey, confirmed: bool) -> Self {
        let rule = |class: &crate::retain::schedule::Class| {
            let of = survey.rules.get(class.name.as_str()).cloned().unwrap_or_default();
            Rule {
                rule: class.name.to_string(),
                cites: class.cites.clone(),
                keep: class.keep.to_string(),
                runs_from: class.runs_from.as_str(),
                due: of.due,
                disposed: of.disposed,
            }
        };
        Self {
            confirmed,
            rules: schedule.classes().map(rule).collect(),
            advisors: survey.advisors.iter().map(|(advisor, due)| Advisor { advisor: *advisor, due: *due }).collect(),
            due: survey.due,
            disposed: survey.disposed,
            held: survey.held,
            holds: survey.holds,
            too_young: survey.young,
            floor: survey.floor.map(|floor| floor.to_string()),
            under_floor: survey.under_floor,
            next: survey.next,
            evidence: survey.evidence,
            unreadable: survey.unreadable,
            unreadable_records: survey.unreadable_records,
            left: survey.left.into_iter().map(|(record, why)| Left { record, why }).collect(),
            blind_holds: survey.blind_holds,
            backups_expire_in_days: None,
            swept: 0,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["rule", "due", "disposed", "keep", "from", "cites"]);
        for rule in &self.rules {
            table.row([
                rule.rule.clone(),
                rule.due.to_string(),
                rule.disposed.to_string(),
                rule.keep.clone(),
                rule.runs_from.to_owned(),
                rule.cites.clone(),
            ]);
        }
        writeln!(f, "{table}")?;
        if !self.advisors.is_empty() {
            let mut table = Table::new(&["advisor", "due"]);
            for of in &self.advisors {
                let name = of.advisor.map_or_else(|| "of no advisor".to_owned(), |advisor| advisor.to_string());
                table.row([name, of.due.to_string()]);
            }
            writeln!(f, "{table}")?;
        }
        writeln!(f, "{} records may go, {} are held, {} are too young", self.due, self.held, self.too_young)?;
        for (hold, records) in &self.holds {
            writeln!(f, "  hold {hold} keeps {records}")?;
        }
        if let Some(floor) = self.floor.as_ref().filter(|_floor| self.under_floor > 0) {
            writeln!(f, "{} more are kept by the archive's own floor of {floor}", self.under_floor)?;
        }
        if self.blind_holds > 0 {
            writeln!(f, "{} holds cannot be evaluated and cover everything: see the log", self.blind_holds)?;
        }
        if self.unreadable > 0 {
            writeln!(
                f,
                "{} records stay because their entries cannot be read; run `muniment verify`",
                self.unreadable
            )?;
        }
        for left in &self.left {
            writeln!(f, "  {} stays: {}", left.record, left.why)?;
        }
        if let Some(next) = self.next {
            writeln!(f, "the next of those looked at comes due at {next}")?;
        }
        match (self.confirmed, self.backups_expire_in_days) {
            (true, Some(days)) => write!(
                f,
                "{} records were disposed of, {} files deleted; backups made until now still hold them for {days} days",
                self.disposed, self.swept
            ),
            _ => f.write_str("nothing was disposed of; `--confirm --reason TEXT` does it"),
        }
    }
}

pub(in crate::app) fn run(settings: Settings, asked: &Dispose, output: Output) -> Result<Verdict, AppError> {
    if let (Some(of), Some(out)) = (asked.proof, &asked.out) {
        return super::proof::run(settings, of, out, output);
    }
    let purpose = asked.reason.as_deref().map(Purpose::new).transpose().map_err(AppError::Reason)?;
    let schedule = schedule::load(&settings)?;
    let backup_retention = settings.backup_retention;
    let answer = visit_lists(settings, async |context, archive| {
        let blobs = Arc::new(ArchiveBlobs(archive.blobs().clone()));
        let order = Order { by: operator()?, backup_retention };
        if asked.confirm {
            // By which schedule, before anything goes by it, and whatever a file beside the archive says.
            let (rules, _sources) = recognition::load(&context.settings)?;
            let kept = Arc::<ArchiveBlobs>::clone(&blobs);
            in_force::note(context, archive, kept, rules.digest(), &schedule, true).await?;
        }
        let retain = Retain::new(archive.clone(), Arc::clone(&context.ids)).with_schedule(Arc::clone(&schedule));
        let mut shown = 0;
        let progress = |survey: &Survey| {
            let looked_at = survey.due + survey.held + survey.young + survey.under_floor + survey.evidence;
            // A line for each ten thousand, not for each step.
            if looked_at / 10_000 > shown {
                shown = looked_at / 10_000;
                output.note(format!("{looked_at} records looked at, {} disposed of", survey.disposed));
            }
        };
        let sealer = context.sealer(blobs);
        let look = async |operation, count: u64| -> Result<(), AppError> {
            let seen = Seen { count: usize::try_from(count).unwrap_or(usize::MAX), ..Seen::default() };
            let look = look_by_command(&*context.clock, &sealer, operator()?, operation, purpose.as_ref(), &seen)?;
            archive.append(look).await?;
            Ok(())
        };
        if asked.confirm {
            // Who asked and why is on record before anything goes. How many went is in the disposals.
            look(Operation::RecordsDispose, 0).await?;
            let survey = retain.dispose(&*context.clock, Some(&order), progress).await?;
            let swept = archive.sweep().await?;
            archive.catch_up().await?;
            let days = backup_retention.as_secs().div_ceil(86_400);
            Ok(Answer { backups_expire_in_days: Some(days), swept, ..Answer::new(&schedule, survey, true) })
        } else {
            let survey = retain.dispose(&*context.clock, None, progress).await?;
            look(Operation::RecordsDue, survey.due).await?;
            Ok(Answer::new(&schedule, survey, false))
        }
    })?;
    output.print(&answer)?;
    Ok(Verdict::Done)
}
