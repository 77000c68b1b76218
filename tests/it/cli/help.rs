//! Help worth reading, and refusals that say what would be right.

use clap::{Command, CommandFactory as _};
use muniment::app::Arguments;

use super::Cli;

/// Every command that does something, with the words that call it.
fn leaves(command: &Command, called: &[&str]) -> Vec<(Vec<String>, Command)> {
    let subcommands: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    if subcommands.is_empty() {
        return vec![(called.iter().map(|&word| word.to_owned()).collect(), command.clone())];
    }
    subcommands.into_iter().flat_map(|c| leaves(c, &[called, &[c.get_name()]].concat())).collect()
}

#[test]
fn every_command_the_brief_of_the_program_names_is_there() {
    let commands: Vec<String> = leaves(&Arguments::command(), &[]).iter().map(|(words, _)| words.join(" ")).collect();
    for wanted in [
        "serve",
        "demo",
        "migrate",
        "check-config",
        "doctor",
        "ca export",
        "ca import",
        "ca rotate",
        "advisor add",
        "advisor list",
        "device add",
        "device list",
        "device revoke",
        "account list",
        "officer add",
        "officer list",
        "officer revoke",
        "webhook list",
        "matter list",
        "hold list",
        "hold evaluate",
        "dispose",
        "keys list",
        "keys rotate-master",
        "keys retire",
        "retention floor",
        "source close",
        "witness audit",
        "witness init",
        "witness key",
        "witness run",
        "verify",
        "checkpoint",
        "rebuild",
        "rules check",
        "rules test",
        "recognize-worker",
    ] {
        assert!(commands.iter().any(|command| command == wanted), "{wanted} is not in {commands:?}");
    }
}

#[test]
fn every_command_says_what_it_does_and_every_argument_what_it_is() {
    for (words, command) in leaves(&Arguments::command(), &[]) {
        let about = command.get_about().unwrap_or_else(|| panic!("{words:?} says nothing")).to_string();
        assert!(about.len() > 20 || words.ends_with(&["list".to_owned()]), "{words:?}: {about}");
        assert!(!about.ends_with('.'), "{words:?}: {about}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{words:?} does not explain {}", argument.get_id());
        }
    }
}

#[test]
fn the_examples_in_the_help_are_commands_the_program_takes() {
    use clap::Parser as _;
    let mut seen = 0;
    let mut texts: Vec<String> = vec![Arguments::command().get_after_help().unwrap().to_string()];
    texts.extend(
        leaves(&Arguments::command(), &[]).iter().filter_map(|(_, c)| c.get_after_help().map(ToString::to_string)),
    );
    for line in texts.iter().flat_map(|text| text.lines()) {
        if !line.starts_with("  ") {
            continue;
        }
        // A comment, a pipe or a redirection after it, variables before it: the shell's business.
        let typed = line.split(['#', '>', '|']).next().unwrap();
        let typed = typed.replace("ADVISOR", "0198c0de-0000-7000-8000-000000000001");
        let quoted = typed.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        });
        let words: Vec<String> = quoted.skip_while(|word| word != "muniment").collect();
        if words.is_empty() {
            continue;
        }
        Arguments::try_parse_from(&words).unwrap_or_else(|error| panic!("{line}\n{error}"));
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn a_misspelt_command_is_refused_with_the_nearest_one() {
    let ended = Cli::new().run(&["serv"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("'serve'"), "{ended:?}");
}

#[test]
fn a_bad_argument_is_refused_with_what_would_be_right() {
    let cli = Cli::new();
    for (arguments, hint) in [
        (vec!["officer", "add", "Olga", "--role", "boss"], "the roles are compliance, legal, auditor, admin"),
        (vec!["officer", "add", "Olga"], "--role <ROLE>"),
        (vec!["device", "add", "--advisor", "ada", "laptop"], "is not a uuid such as 0198c0de-"),
        (vec!["device", "revoke"], "<ID>"),
        (vec!["ca", "export", "--form", "p12"], "possible values: pem, der"),
    ] {
        let ended = cli.run(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(hint), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn with_json_even_a_usage_error_is_one_json_object() {
    let ended = Cli::new().run(&["officer", "add", "Olga", "--role", "boss", "--json"]);
    assert_eq!(ended.code, 2);
    assert!(ended.error()["message"].as_str().unwrap().contains("the roles are"), "{ended:?}");
}

#[test]
fn help_and_version_are_answers_and_not_errors() {
    let cli = Cli::new();
    for arguments in [&["--help"][..], &["serve", "--help"], &["help", "device", "add"], &["--version"]] {
        let ended = cli.run(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ended.stdout.len() > 10);
    }
}
