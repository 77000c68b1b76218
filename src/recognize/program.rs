//! jq programs: compiled with what a pure rule may use, and run with bounds on what comes out.
//!
//! Invariant: a program that compiles here sees its input and nothing else: no clock, environment, file, further input or log.
//! It may still run for ever or eat all memory; that is what worker processes are for.

use std::collections::HashSet;

use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::native::Fun;
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::{Num, Val};
use serde_json::{Map, Number, Value};

use super::rule::ProgramText;

mod natives;

type Data = JustLut<Val>;

/// What jq has and rules may not use, with the reason.
const FORBIDDEN: &[(&str, &str)] = &[
    ("now", "it reads the clock, and a rule must say the same about the same exchange for ever"),
    ("localtime", "it reads the machine's time zone; use `gmtime`"),
    ("strflocaltime", "it reads the machine's time zone; use `strftime`"),
    ("env", "it reads the environment"),
    ("$ENV", "it reads the environment"),
    ("input", "there is one exchange and no further input"),
    ("inputs", "there is one exchange and no further input"),
    ("input_filename", "there is one exchange and no further input"),
    ("input_line_number", "there is one exchange and no further input"),
    ("debug", "it would write somebody's words to a log"),
    ("debug_empty", "it would write somebody's words to a log"),
    ("stderr", "it would write somebody's words to a log"),
    ("stderr_empty", "it would write somebody's words to a log"),
    ("halt", "it would stop the worker; use `error`"),
    ("halt_error", "it would stop the worker; use `error`"),
];

/// Definitions of jq's own that stand on a forbidden one.
const FORBIDDEN_DEFINITIONS: &[&str] = &["debug", "stderr", "halt", "halt_error"];

/// JSON inside strings nests at most this deep, so that reading it cannot exhaust the stack.
const MAX_DEPTH: usize = 128;

/// All programs of one network, compiled together: jq's own definitions are read once, not once per program.
pub(crate) struct Programs(jaq_core::Filter<Data>);

/// Which of a network's programs, in the order in which they were compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramNumber(pub(crate) usize);

/// A fault in a program or library: the line in its file, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramFault {
    /// Which program; none for the library.
    pub(crate) program: Option<ProgramNumber>,
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Bounds on what a program gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputLimits {
    /// Outputs.
    pub(crate) count: usize,
    /// Bytes of all strings and containers together, roughly.
    pub(crate) size: usize,
}

/// What a program gave.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) values: Vec<Value>,
    /// It ended with an error after these.
    pub(crate) failed: bool,
    /// There were more, or larger ones.
    pub(crate) too_much: bool,
}

impl Programs {
    /// Compiles a network's library and programs, or tells every fault in them.
    pub(crate) fn compile(library: Option<&ProgramText>, programs: &[&ProgramText]) -> Result<Self, Vec<ProgramFault>> {
        let mut faults = Vec::new();
        // Each by itself first: a missing bracket is then told where it is missed, and none can end in its neighbour.
        let numbered = (0..).map(|number| Some(ProgramNumber(number))).zip(programs.iter().copied());
        for (program, text) in library.map(|library| (None, library)).into_iter().chain(numbered) {
            faults.extend(syntax_faults(program, text));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let code = Joined::new(library, programs);
        let arena = Arena::default();
        let modules = Loader::new(definitions())
            .load(&arena, File { code: code.text.as_str(), path: () })
            .map_err(|_errors| vec![code.fault(&code.text, "the programs cannot be read together".to_owned())])?;
        let compiler = Compiler::default().with_funs(natives()).with_global_vars([WHICH]);
        let filter = compiler.compile(modules).map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_file, errors)| errors);
            undefined.map(|(name, sort)| code.fault(name, undefined_fault(name, &sort))).collect::<Vec<_>>()
        })?;
        Ok(Self(filter))
    }

    /// Runs one of them.
    pub(crate) fn run(&self, number: ProgramNumber, input: Val, limits: OutputLimits) -> Outputs {
        let context = Ctx::<Data>::new(&self.0.lut, Vars::new([Val::from(number.0)]));
        let mut outputs = Outputs::default();
        let mut room = limits.size;
        for output in self.0.id.run((context, input)) {
            // `halt` is not among the natives and `break` cannot leave a program: what is no value is an error.
            let Ok(output) = output else {
                outputs.failed = true;
                break;
            };
            if outputs.values.len() >= limits.count {
                outputs.too_much = true;
                break;
            }
            match to_json(&output, &mut room, MAX_DEPTH) {
                Some(value) => outputs.values.push(value),
                None => {
                    outputs.too_much = true;
                    break;
                }
            }
        }
        outputs
    }
}

/// The variable that says which program runs.
const WHICH: &str = "$__program";

/// Library and programs as one text, with the place of each.
struct Joined<'a> {
    text: String,
    /// Offset in the text, which one, and its text.
    pieces: Vec<(usize, Option<ProgramNumber>, &'a ProgramText)>,
}

impl<'a> Joined<'a> {
    fn new(library: Option<&'a ProgramText>, programs: &[&'a ProgramText]) -> Self {
        let mut joined = Self { text: String::new(), pieces: Vec::new() };
        if let Some(library) = library {
            joined.push(None, library);
            joined.text.push('\n');
        }
        let mut choice = String::from("if ");
        for (number, program) in programs.iter().enumerate() {
            joined.text.push_str(&format!("def __program_{number}: "));
            joined.push(Some(ProgramNumber(number)), program);
            joined.text.push_str("\n;\n");
            choice.push_str(&format!("{WHICH} == {number} then __program_{number} elif "));
        }
        joined.text.push_str(&choice);
        joined.text.push_str("true then empty end");
        joined
    }

    fn push(&mut self, program: Option<ProgramNumber>, text: &'a ProgramText) {
        self.pieces.push((self.text.len(), program, text));
        self.text.push_str(&text.text);
    }

    fn fault(&self, at: &str, what: String) -> ProgramFault {
        let at = load::span(&self.text, at).start;
        let piece = self.pieces.iter().rev().find(|(begin, _program, _text)| *begin <= at);
        piece.map_or_else(
            || ProgramFault { program: None, line: 1, what: what.clone() },
            |(begin, program, text)| ProgramFault {
                program: *program,
                line: text.line_at(at - begin),
                what: what.clone(),
            },
        )
    }
}

fn syntax_faults(program: Option<ProgramNumber>, text: &ProgramText) -> Vec<ProgramFault> {
    // A library is definitions only; the dot makes a whole program of it.
    let code = if program.is_none() { format!("{}\n.", text.text) } else { text.text.clone() };
    let arena = Arena::default();
    let fault = |at: &str, what: String| {
        let line = text.line_at(load::span(&code, at).start.min(code.len()));
        ProgramFault { program, line, what }
    };
    let import = "a rule cannot import: put shared definitions into `library`";
    let modules = match Loader::new([]).load(&arena, File { code: code.as_str(), path: () }) {
        Ok(modules) => modules,
        Err(errors) => {
            return errors.into_iter().flat_map(|(_file, error)| load_faults(error, &fault, import)).collect();
        }
    };
    let mut imported = Vec::new();
    // Only looks at what is imported; the answer is ours.
    if load::import(&modules, |_import| Err(String::new())).is_err() {
        imported.push(fault(&code, import.to_owned()));
    }
    imported
}

fn definitions() -> impl Iterator<Item = load::parse::Def<&'static str>> {
    jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|definition| !FORBIDDEN_DEFINITIONS.contains(&definition.name))
}

fn natives() -> impl Iterator<Item = Fun<Data>> {
    let forbidden: HashSet<&str> = FORBIDDEN.iter().map(|(name, _why)| *name).collect();
    jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(move |(name, _arguments, _native)| !forbidden.contains(name) && *name != "fromjson")
        .chain(natives::own())
}

fn load_faults(
    error: load::Error<&str>,
    fault: &impl Fn(&str, String) -> ProgramFault,
    import: &str,
) -> Vec<ProgramFault> {
    match error {
        load::Error::Io(modules) => modules.into_iter().map(|(path, _why)| fault(path, import.to_owned())).collect(),
        load::Error::Lex(errors) => {
            errors.into_iter().map(|(expected, at)| fault(at, expected_fault(expected.as_str(), at))).collect()
        }
        load::Error::Parse(errors) => {
            errors.into_iter().map(|(expected, at)| fault(at, expected_fault(expected.as_str(), at))).collect()
        }
    }
}

fn expected_fault(expected: &str, at: &str) -> String {
    if at.is_empty() {
        return format!("expected {expected} at the end");
    }
    let excerpt: String = at.lines().next().unwrap_or("").chars().take(24).collect();
    format!("expected {expected} at `{excerpt}`")
}

fn undefined_fault(name: &str, sort: &jaq_core::compile::Undefined) -> String {
    if let Some((_name, why)) = FORBIDDEN.iter().find(|(forbidden, _why)| *forbidden == name) {
        return format!("a rule cannot use `{name}`: {why}");
    }
    match sort {
        jaq_core::compile::Undefined::Filter(arity) if *arity > 0 => {
            format!("there is no `{name}` with {arity} argument(s); `library` is where shared definitions go")
        }
        jaq_core::compile::Undefined::Filter(_) => {
            format!("there is no `{name}`; `library` is where shared definitions go")
        }
        other => format!("there is no {} `{name}`", other.as_str()),
    }
}

/// A value as plain JSON while there is room; none when it is too large or too deep.
pub(crate) fn to_json(value: &Val, room: &mut usize, depth: usize) -> Option<Value> {
    *room = room.checked_sub(16)?;
    Some(match value {
        Val::Null => Value::Null,
        Val::Bool(bool) => Value::Bool(*bool),
        Val::Num(number) => to_number(number),
        Val::BStr(bytes) | Val::TStr(bytes) => {
            *room = room.checked_sub(bytes.len())?;
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        }
        Val::Arr(values) => {
            let depth = depth.checked_sub(1)?;
            Value::Array(values.iter().map(|value| to_json(value, room, depth)).collect::<Option<_>>()?)
        }
        Val::Obj(members) => {
            let depth = depth.checked_sub(1)?;
            let mut object = Map::new();
            for (key, value) in members.iter() {
                let Value::String(key) = to_json(key, room, depth)? else { continue };
                object.insert(key, to_json(value, room, depth)?);
            }
            Value::Object(object)
        }
    })
}

/// Integers beyond 64 bits stay exact as text.
fn to_number(number: &Num) -> Value {
    match number {
        Num::Int(int) => Value::from(*int),
        Num::BigInt(int) => Value::String(int.to_string()),
        Num::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
        Num::Dec(text) => text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
    }
}

#[cfg(test)]
mod tests;
