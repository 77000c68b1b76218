//! Policies (C2SP `tlog-policy`): which logs are believed, and whose cosignatures a checkpoint must have.
//!
//! Invariant: every witness counts in one way only: a name is defined before it is named, stands in at most one group, and no key has two
//! names. Names are octets, whatever they mean to a reader. A witness whose signatures this version cannot check never counts.

use std::collections::HashMap;

use super::checkpoint::parse_decimal;
use super::{Checkpoint, CheckpointError, NoteKeyError, VerifyingKey, Vouched};

/// Largest policy in bytes.
pub const POLICY_MAX: usize = 1 << 20;
/// The most logs, the most witnesses and the most groups of one.
const DEFINED_MAX: usize = 256;

/// A policy could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file as a whole.
    #[error("not a policy: {0}")]
    Whole(&'static str),
    /// One line of it.
    #[error("line {line} of the policy: {problem}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A key in it.
    #[error("line {line} of the policy")]
    Key {
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: NoteKeyError,
    },
}

/// A checkpoint does not meet a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// It is not the log's, or one of its signatures is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too few witnesses cosigned it.
    #[error("the quorum is not met: of {of} witnesses {cosigned} cosigned")]
    NotMet {
        /// How many the policy names.
        of: usize,
        /// How many of them cosigned.
        cosigned: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    wanted: usize,
    members: Vec<Member>,
}

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifyingKey>,
    witnesses: Vec<VerifyingKey>,
    /// Each names only those before it.
    groups: Vec<Group>,
    /// None: no cosignature is needed.
    quorum: Option<Member>,
}

/// A policy that is being read.
#[derive(Default)]
struct Reading<'a> {
    logs: Vec<VerifyingKey>,
    witnesses: Vec<VerifyingKey>,
    groups: Vec<Group>,
    names: HashMap<&'a [u8], Member>,
    /// Names that stand in a group already.
    placed: Vec<&'a [u8]>,
    quorum: Option<Option<Member>>,
}

impl Policy {
    /// Reads a policy. The last line may lack its newline.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_MAX {
            return Err(PolicyError::Whole("longer than 1048576 bytes"));
        }
        if bytes.iter().any(|b| matches!(b, 0..=8 | 11..=31 | 127)) {
            return Err(PolicyError::Whole("a control character other than tab and newline"));
        }
        let mut reading = Reading::default();
        for (line, text) in (1..).zip(bytes.split(|b| *b == b'\n')) {
            let mut items = text.split(|b| matches!(b, b' ' | b'\t')).filter(|item| !item.is_empty());
            let Some(first) = items.next().filter(|first| !first.starts_with(b"#")) else { continue };
            let items: Vec<_> = items.collect();
            reading.line(line, first, &items)?;
        }
        let quorum = reading.quorum.ok_or(PolicyError::Whole("no quorum line"))?;
        let Reading { logs, witnesses, groups, .. } = reading;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// Keys of the logs that it believes. There may be none: the log is then known from elsewhere.
    #[must_use]
    pub fn logs(&self) -> &[VerifyingKey] {
        &self.logs
    }

    /// Keys of the witnesses, in their order.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifyingKey] {
        &self.witnesses
    }

    /// Does it ask for any cosignature?
    #[must_use]
    pub const fn needs_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Do these suffice? They were checked with the policy's keys.
    #[must_use]
    pub fn is_met(&self, by: &[Vouched]) -> bool {
        let cosigned = |key: &VerifyingKey| by.iter().any(|by| by.name == key.name() && by.id == key.id());
        let witnessed: Vec<bool> = self.witnesses.iter().map(cosigned).collect();
        // Groups name only what stands before them, so that one pass decides them all.
        let mut met: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, met: &[bool]| match member {
            Member::Witness(at) => witnessed.get(*at).copied().unwrap_or(false),
            Member::Group(at) => met.get(*at).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &met)).count();
            met.push(count >= group.wanted);
        }
        self.quorum.is_none_or(|quorum| holds(&quorum, &met))
    }

    /// Reads a signed checkpoint and holds it against the policy: signed by one of its logs (by one of `logs` where it names none), and
    /// cosigned as the quorum asks. Answers with who vouched.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub fn open(&self, note: &[u8], logs: &[VerifyingKey]) -> Result<(Checkpoint, Vec<Vouched>), QuorumError> {
        let logs = if self.logs.is_empty() { logs } else { &self.logs };
        let keys: Vec<_> = logs.iter().chain(&self.witnesses).cloned().collect();
        let (checkpoint, vouched) = Checkpoint::open(note, &keys)?;
        if self.is_met(&vouched) {
            return Ok((checkpoint, vouched));
        }
        let has = |key: &&VerifyingKey| vouched.iter().any(|by| by.name == key.name() && by.id == key.id());
        let cosigned = self.witnesses.iter().filter(has).count();
        Err(QuorumError::NotMet { of: self.witnesses.len(), cosigned })
    }
}

/// The text of a policy without comments, and without the addresses at which logs and witnesses are: for those who only check.
#[must_use]
pub fn bare_policy(text: &str) -> String {
    let line = |line: &str| {
        let mut items: Vec<_> = line.split([' ', '\t']).filter(|item| !item.is_empty()).collect();
        match items.first() {
            Some(&"log") => items.truncate(2),
            Some(&"witness") => items.truncate(3),
            _ => {}
        }
        let says = items.first().is_some_and(|first| !first.starts_with('#'));
        says.then(|| items.join(" ") + "\n")
    };
    text.split('\n').filter_map(line).collect()
}

impl<'a> Reading<'a> {
    fn line(&mut self, line: usize, first: &[u8], items: &[&'a [u8]]) -> Result<(), PolicyError> {
        let wrong = |problem| PolicyError::Line { line, problem };
        match (first, items) {
            (b"log", [key] | [key, _]) => {
                let key = read_key(line, key)?;
                if !key.is_log_key() {
                    return Err(wrong("a log's key is of type 01"));
                }
                add_key(&mut self.logs, key).map_err(wrong)
            }
            (b"witness", [name, key] | [name, key, _]) => {
                let key = read_key(line, key)?;
                if !key.is_witness_key() {
                    return Err(wrong("a witness's key is of type 04 or 06"));
                }
                add_key(&mut self.witnesses, key).map_err(wrong)?;
                self.define(name, Member::Witness(self.witnesses.len() - 1)).map_err(wrong)
            }
            (b"group", [name, wanted, members @ ..]) => {
                let group = self.group(wanted, members).map_err(wrong)?;
                if self.groups.len() >= DEFINED_MAX {
                    return Err(wrong("more than 256 groups"));
                }
                self.groups.push(group);
                self.define(name, Member::Group(self.groups.len() - 1)).map_err(wrong)
            }
            (b"quorum", [name]) => {
                let quorum = if *name == b"none" { None } else { Some(self.named(name).map_err(wrong)?) };
                match self.quorum.replace(quorum) {
                    None => Ok(()),
                    Some(_) => Err(wrong("a second quorum line")),
                }
            }
            _ => Err(wrong("write log, witness, group or quorum with what belongs to it")),
        }
    }

    fn group(&mut self, wanted: &[u8], members: &[&'a [u8]]) -> Result<Group, &'static str> {
        let count = members.len();
        let number = || std::str::from_utf8(wanted).ok().and_then(parse_decimal).and_then(|k| usize::try_from(k).ok());
        let wanted = match wanted {
            b"all" => Some(count),
            b"any" => Some(1),
            _ => number(),
        };
        let wanted = wanted.ok_or("write any, all or how many of its members a group needs")?;
        if !(1..=count).contains(&wanted) {
            return Err("a group needs at least one of its members, and at most all");
        }
        let mut group = Group { wanted, members: Vec::with_capacity(count) };
        for name in members {
            let member = self.named(name)?;
            if self.placed.contains(name) {
                return Err("a name stands in a group once, and in one group only");
            }
            self.placed.push(name);
            group.members.push(member);
        }
        Ok(group)
    }

    fn named(&self, name: &[u8]) -> Result<Member, &'static str> {
        self.names.get(name).copied().ok_or("a name that no line before defines")
    }

    fn define(&mut self, name: &'a [u8], as_member: Member) -> Result<(), &'static str> {
        if name == b"none" {
            return Err("`none` is the name for no witness at all");
        }
        match self.names.insert(name, as_member) {
            None => Ok(()),
            Some(_) => Err("a name that another line has defined"),
        }
    }
}

fn read_key(line: usize, text: &[u8]) -> Result<VerifyingKey, PolicyError> {
    let text = std::str::from_utf8(text);
    let text = text.map_err(|_source| PolicyError::Line { line, problem: "a key that is not utf-8" })?;
    text.parse().map_err(|source| PolicyError::Key { line, source })
}

fn add_key(keys: &mut Vec<VerifyingKey>, key: VerifyingKey) -> Result<(), &'static str> {
    if keys.len() >= DEFINED_MAX {
        return Err("more than 256 logs or witnesses");
    }
    if keys.iter().any(|other| other.is_same_public_key(&key)) {
        return Err("the same public key a second time");
    }
    keys.push(key);
    Ok(())
}
