//! From rule files as typed to rules as meant, collecting every fault on the way.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use http::Method;
use toml::Spanned;

use super::decoder::Decoder;
use super::error::{Fault, RuleError, RuleErrors};
use super::file::{ConditionFile, DirectionWord, HoldWord, NetworkFile, OneOrMany, PlanWord, RuleFile};
use super::index::PathTree;
use super::path::PathPattern;
use super::plan::Release;
use super::program::{ProgramNumber, Programs};
use super::rule::{Action, Condition, Place, ProgramText, Rule, Test};
use super::set::Network;
use super::source::Source;
use crate::record::{Digest, canonical};

/// Loads every file, or tells everything that is wrong with all of them.
pub(crate) fn networks(sources: &[Source]) -> Result<Vec<Network>, RuleErrors> {
    let mut errors = Vec::new();
    let mut networks: Vec<Network> = Vec::new();
    for source in sources {
        let mut file = Loading { source, rule: None, programs: Vec::new(), errors: &mut errors };
        let Some(network) = file.network() else { continue };
        if networks.iter().any(|other| other.name == network.name) {
            file.fault(0..0, Fault::RepeatedNetwork(network.name.to_string()));
        }
        networks.push(network);
    }
    if errors.is_empty() { Ok(networks) } else { Err(RuleErrors(errors)) }
}

struct Loading<'a> {
    source: &'a Source,
    rule: Option<String>,
    /// The rule and field of each program, and its text.
    programs: Vec<(String, &'static str, ProgramText)>,
    errors: &'a mut Vec<RuleError>,
}

impl Loading<'_> {
    fn line(&self, offset: usize) -> usize {
        self.source.text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    fn fault(&mut self, span: Range<usize>, fault: Fault) {
        let error =
            RuleError { file: self.source.file.clone(), line: self.line(span.start), rule: self.rule.clone(), fault };
        self.errors.push(error);
    }

    fn network(&mut self) -> Option<Network> {
        let file: NetworkFile = match toml::from_str(&self.source.text) {
            Ok(file) => file,
            Err(error) => {
                self.fault(error.span().unwrap_or(0..0), Fault::Toml(error.message().to_owned()));
                return None;
            }
        };
        let digest = self.digest()?;
        let name: Arc<str> = self.name(&file.name).into();
        let mut hosts = Vec::new();
        for host in &file.hosts {
            match host.get_ref().parse() {
                Ok(pattern) => hosts.push(pattern),
                Err(error) => self.fault(host.span(), Fault::Host(error)),
            }
        }
        if file.hosts.is_empty() && !file.any_host {
            self.fault(file.name.span(), Fault::NoHosts);
        }
        let library = file.library.as_ref().map(|library| self.program_text(library));
        let rules = self.rules(&name, &file.rules);
        self.check_programs(library.as_ref());
        let mut tree = PathTree::default();
        for (number, rule) in (0..).zip(&rules) {
            for path in &rule.paths {
                tree.insert(path, number);
            }
        }
        Some(Network {
            name,
            title: file.title,
            hosts,
            any_host: file.any_host,
            account_cookies: file.account_cookies,
            library,
            programs: self.programs.drain(..).map(|(_rule, _field, text)| text).collect(),
            rules,
            tree,
            digest,
        })
    }

    /// Compiles every program, to find its faults now.
    fn check_programs(&mut self, library: Option<&ProgramText>) {
        let texts: Vec<_> = self.programs.iter().map(|(_rule, _field, text)| text).collect();
        let Err(faults) = Programs::compile(library, &texts) else { return };
        for fault in faults {
            let place = fault.program.and_then(|number| self.programs.get(number.0));
            let (rule, field) = place.map_or((None, "library"), |(rule, field, _text)| (Some(rule.clone()), *field));
            let error = RuleError {
                file: self.source.file.clone(),
                line: fault.line,
                rule,
                fault: Fault::Program { field, what: fault.what },
            };
            self.errors.push(error);
        }
    }

    /// Over the values, so that comments and layout do not make another rule set.
    fn digest(&mut self) -> Option<Digest> {
        let content = toml::from_str::<serde_json::Value>(&self.source.text).map_err(|error| error.to_string());
        match content.and_then(|value| canonical(&value).map_err(|error| error.to_string())) {
            Ok(bytes) => Some(Digest::of(&[&bytes])),
            Err(message) => {
                self.fault(0..0, Fault::Toml(message));
                None
            }
        }
    }

    fn rules(&mut self, network: &str, files: &[Spanned<RuleFile>]) -> Vec<Rule> {
        let mut ids = HashSet::new();
        let mut rules: Vec<Rule> = Vec::new();
        for file in files {
            let id = file.get_ref().id.get_ref();
            self.rule = Some(id.clone());
            if !ids.insert(id.as_str()) {
                self.fault(file.get_ref().id.span(), Fault::RepeatedRule(id.clone()));
            }
            let rule = self.rule(network, file);
            if let Some(earlier) = rules.iter().find(|earlier| earlier.shadows(&rule)) {
                let (_network, earlier) = earlier.id.split_once('/').unwrap_or(("", &earlier.id));
                let earlier = earlier.to_owned();
                self.fault(file.get_ref().id.span(), Fault::Unreachable(earlier));
            }
            rules.push(rule);
        }
        self.rule = None;
        rules
    }

    fn rule(&mut self, network: &str, file: &Spanned<RuleFile>) -> Rule {
        let rule = file.get_ref();
        let id = self.name(&rule.id);
        let methods = rule.method.as_ref().map(|methods| self.methods(methods)).unwrap_or_default();
        let mut paths = Vec::new();
        for path in &rule.path.get_ref().0 {
            match path.parse::<PathPattern>() {
                Ok(pattern) => paths.push(pattern),
                Err(error) => self.fault(rule.path.span(), Fault::Path(error)),
            }
        }
        let conditions = rule.when.iter().filter_map(|condition| self.condition(condition)).collect();
        let decoder = rule.decoder.as_ref().and_then(|name| match name.get_ref().parse() {
            Ok(decoder) => Some(decoder),
            Err(()) => {
                let fault = Fault::Decoder { name: name.get_ref().clone(), known: Decoder::NAMES };
                self.fault(name.span(), fault);
                None
            }
        });
        let mut program =
            |field, program: &Option<Spanned<String>>| program.as_ref().map(|text| self.program(&id, field, text));
        let extract = program("extract", &rule.extract);
        let outcome = program("outcome", &rule.outcome);
        let account = program("account", &rule.account);
        let session = program("session", &rule.session);
        let rule = Rule {
            id: format!("{network}/{id}").into(),
            methods,
            paths,
            action: self.action(rule),
            conditions,
            decoder,
            authenticated: rule.authenticated,
            extract,
            outcome,
            account,
            session,
        };
        self.check_shape(file.get_ref(), &rule);
        rule
    }

    fn action(&mut self, rule: &RuleFile) -> Action {
        let release = match rule.hold.as_ref().map(Spanned::get_ref) {
            Some(HoldWord::Tail) => Release::Tail,
            Some(HoldWord::Whole) | None => Release::Whole,
        };
        match rule.plan.get_ref() {
            PlanWord::Write => Action::Write(release),
            PlanWord::Unclassified => Action::Unclassified(release),
            PlanWord::Read => Action::Read,
            PlanWord::Messages => {
                let direction = rule.direction.as_ref().map_or(DirectionWord::Inbound, |word| *word.get_ref());
                Action::Messages {
                    inbound: direction != DirectionWord::Outbound,
                    outbound: direction != DirectionWord::Inbound,
                }
            }
            PlanWord::Credential => Action::Credential,
            PlanWord::Ignore => Action::Ignore,
        }
    }

    fn check_shape(&mut self, file: &RuleFile, rule: &Rule) {
        use PlanWord::{Credential, Ignore, Messages, Read, Unclassified, Write};
        let plan = *file.plan.get_ref();
        let at = file.plan.span();
        let programs = rule.extract.is_some() || rule.outcome.is_some() || rule.account.is_some();
        let body = rule.conditions.iter().any(Condition::needs_body);
        let faults = [
            (
                plan == Write && rule.extract.is_none(),
                "a write needs `extract`; for requests kept raw say `plan = \"unclassified\"`",
            ),
            (plan == Messages && rule.extract.is_none(), "messages need `extract`"),
            (
                plan == Read && rule.extract.is_none() && rule.account.is_none(),
                "a read needs `extract` or `account`; to let it through say `plan = \"ignore\"`",
            ),
            (
                matches!(plan, Unclassified | Credential | Ignore) && programs,
                "programs run only for `write`, `read` and `messages`",
            ),
            (rule.outcome.is_some() && plan != Write, "`outcome` belongs to a write"),
            (
                plan == Read && rule.account.is_some() && !rule.authenticated,
                "a read shows whose session it is only where the origin took the credential: say `authenticated = true` if it answers 2xx to nobody else, or leave `account` out",
            ),
            (
                rule.authenticated && !matches!(plan, Read | Messages),
                "`authenticated` belongs to a read or to messages: of a write the outcome says whether the credential was taken",
            ),
            (file.hold.is_some() && !matches!(plan, Write | Unclassified), "`hold` belongs to a write"),
            (
                rule.session.is_some() && (plan != Read || rule.account.is_none()),
                "`session` belongs to a read that has `account`",
            ),
            (file.decoder.is_some() && plan != Read, "`decoder` belongs to a read"),
            (file.direction.is_some() && plan != Messages, "`direction` belongs to messages"),
            (
                body && matches!(plan, Credential | Read | Messages),
                "this plan is decided from the head: use `query` and `header` conditions only",
            ),
        ];
        for (wrong, what) in faults {
            if wrong {
                self.fault(at.clone(), Fault::Shape(what));
            }
        }
    }

    fn methods(&mut self, methods: &Spanned<OneOrMany>) -> Vec<Method> {
        let mut found = Vec::new();
        for text in &methods.get_ref().0 {
            match Method::from_bytes(text.as_bytes()) {
                Ok(method) if text.bytes().all(|b| b.is_ascii_uppercase()) => found.push(method),
                Ok(_) | Err(_) => self.fault(methods.span(), Fault::Method(text.clone())),
            }
        }
        found
    }

    fn condition(&mut self, file: &Spanned<ConditionFile>) -> Option<Condition> {
        let condition = file.get_ref();
        let places = [
            condition.query.clone().map(Place::Query),
            condition.header.clone().map(|name| Place::Header(name.to_ascii_lowercase())),
            condition.form.clone().map(Place::Form),
            condition.json.as_deref().map(|pointer| Place::Json(pointer_segments(pointer))),
        ];
        let tests = [
            condition.exists.map(|exists| if exists { Test::Exists } else { Test::Absent }),
            condition.equals.clone().map(|text| Test::OneOf(vec![text])),
            condition.one_of.clone().map(Test::OneOf),
            condition.starts_with.clone().map(Test::StartsWith),
        ];
        let mut places = places.into_iter().flatten();
        let mut tests = tests.into_iter().flatten();
        let bad_pointer = condition.json.as_deref().is_some_and(|pointer| !pointer.starts_with('/'));
        match (places.next(), tests.next(), places.next(), tests.next()) {
            (Some(_), Some(_), None, None) if bad_pointer => {
                self.fault(file.span(), Fault::Shape("`json` is a JSON pointer such as /record/reply"));
                None
            }
            (Some(place), Some(test), None, None) => Some(Condition { place, test }),
            _ => {
                let what = "a condition has one place (`query`, `header`, `form` or `json`) and one test (`exists`, `equals`, `one_of` or `starts_with`)";
                self.fault(file.span(), Fault::Shape(what));
                None
            }
        }
    }

    fn name(&mut self, name: &Spanned<String>) -> String {
        let text = name.get_ref();
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
            self.fault(name.span(), Fault::Name(text.chars().take(64).collect()));
        }
        text.clone()
    }

    fn program(&mut self, rule: &str, field: &'static str, text: &Spanned<String>) -> ProgramNumber {
        let number = ProgramNumber(self.programs.len());
        self.programs.push((rule.to_owned(), field, self.program_text(text)));
        number
    }

    fn program_text(&self, program: &Spanned<String>) -> ProgramText {
        // In a multi-line literal the text begins on the line after the quotes.
        let opening = self.source.text.get(program.span()).unwrap_or("");
        let skipped =
            usize::from(["'''\n", "\"\"\"\n", "'''\r\n", "\"\"\"\r\n"].iter().any(|q| opening.starts_with(q)));
        ProgramText { text: program.get_ref().clone(), line: self.line(program.span().start).saturating_add(skipped) }
    }
}

fn pointer_segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}
