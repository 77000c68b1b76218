//! The command line: what can be typed, and the help that explains it.
//!
//! Everything here is text for a person at a terminal. What a command does is in `command/<name>.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::moment::Moment;
use crate::bundle::Rendition;
use crate::export::Withhold;
use crate::record::{AdvisorId, MatterId, RecordId, SourceId};
use crate::retain::schedule::Length;
use crate::settings::Span;

mod people;
mod witness;

pub(super) use people::{Account, Advisor, Device, Officer};
pub(super) use witness::Witness;

/// A compliance archiving proxy: every post and reply is recorded, chained and provable before it is sent.
#[derive(Debug, Parser)]
#[command(
    name = "muniment",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "First steps on one machine, with nothing configured:\n  \
        muniment serve                                  # in one terminal: archive, proxy and API\n  \
        muniment advisor add \"Ada Advisor\"              # in another: whose posts are kept\n  \
        muniment device add --advisor ADVISOR laptop    # prints the proxy address to configure, once\n  \
        muniment officer add \"Olga\" --role compliance   # prints a token for the API, once\n  \
        muniment verify                                 # proves that nothing kept was changed\n\n\
        Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 `verify`, `doctor` or `rules` found something wrong.\n\
        `muniment demo` shows the whole of it without configuration, in under a minute."
)]
pub struct Arguments {
    /// Settings file; without one, the defaults hold
    #[arg(long, global = true, env = "MUNIMENT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on standard output; errors too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the archive, the proxy and the audit API
    ///
    /// With no database configured, a private Postgres is made and run in the data directory. SIGTERM and SIGINT drain open
    /// exchanges, a second one stops at once.
    #[command(after_help = "Examples:\n  muniment serve\n  muniment serve --config /etc/muniment/muniment.toml\n  \
        DATABASE_URL=postgres://muniment@db/muniment muniment serve")]
    Serve,
    /// Show everything at work on this machine, then tamper with a copy and catch it
    ///
    /// Starts an archive, a proxy, the API and a small social network on loopback, lets scripted advisors post and reply
    /// through the proxy, and proves what was kept. Needs no network and no configuration, and leaves nothing behind.
    #[command(
        after_help = "Examples:\n  muniment demo\n  muniment demo --keep look   # leave the data there, keep serving"
    )]
    Demo(Demo),
    /// Create or update the tables and roles, as the owner of the database
    ///
    /// The embedded archive is migrated by `serve` on its own. On a server, run this with the owner's login, before the
    /// first `serve` and after each update; it changes nothing when there is nothing to do.
    #[command(
        after_help = "Example:\n  MUNIMENT_OWNER_URL=postgres://owner@db/muniment DATABASE_URL=postgres://muniment@db/muniment muniment migrate"
    )]
    Migrate,
    /// Read the settings as `serve` would, and print what they mean
    #[command(after_help = check_config_help())]
    CheckConfig,
    /// Look for whatever would keep `serve` from working: programs, directories, ports, the CA, clock, disk, spool, roles, rules
    ///
    /// Each line says what was seen: `ok`, `warning` (serve works, but somebody should look) or `WRONG`, and what to do. Looking
    /// changes nothing; a running `serve` is asked, a stopped one is not started. Exit codes: 0 when nothing is wrong (there may
    /// be warnings), 3 when something is, 1 or 2 when it could not look.
    #[command(
        after_help = "Examples:\n  muniment doctor\n  muniment --json doctor | jq '.checks[] | select(.state != \"ok\")'"
    )]
    Doctor,
    /// The firm's certificate authority
    #[command(subcommand)]
    Ca(Ca),
    /// The people whose communications are kept
    #[command(subcommand)]
    Advisor(Advisor),
    /// The browsers and phones they use
    #[command(subcommand)]
    Device(Device),
    /// The social-network accounts seen at work
    #[command(subcommand)]
    Account(Account),
    /// The people who may look
    #[command(subcommand)]
    Officer(Officer),
    /// Where events are sent by themselves
    #[command(subcommand)]
    Webhook(Webhook),
    /// What holds, searches and exports are for
    #[command(subcommand)]
    Matter(Matter),
    /// What may not be disposed of
    #[command(subcommand)]
    Hold(Hold),
    /// Let go what its retention has ended for: without --confirm, show what that would be
    ///
    /// A record may go when every class of the retention schedule that it is in has ended, the archive's own floor has, and no hold covers it.
    /// Its keys, sealed content and files are destroyed; its entries stay, and a disposal entry says which rule ended and when the last backup
    /// that still holds it expires. May be killed at any moment and run again. `serve` goes on meanwhile.
    #[command(
        after_help = "Examples:\n  muniment dispose                                        # what may go, and why the rest stays\n  \
        muniment dispose --confirm --reason \"yearly disposal 2026\"\n  \
        muniment dispose --proof 0198c0de-0000-7000-8000-000000000001 --out gone.json"
    )]
    Dispose(Dispose),
    /// How long records are kept
    #[command(subcommand)]
    Retention(Retention),
    /// The master key, which wraps the key of every record
    #[command(subcommand)]
    Keys(Keys),
    /// The proxies that append to this archive
    #[command(subcommand)]
    Source(Source),
    /// Watch logs for somebody else: an auditor's or a regulator's witness, which needs no archive
    #[command(subcommand)]
    Witness(Witness),
    /// Check the whole archive: chain, tree, checkpoints, every content against its commitment, projections against the ledger
    ///
    /// Names every bad index. Reads only. Exit code 3 when anything is wrong.
    #[command(
        after_help = "Examples:\n  muniment verify\n  muniment verify --against checkpoint-2026-11-21.txt   # a checkpoint kept outside"
    )]
    Verify(Verify),
    /// Take records out as a bundle that verifies without this archive: a zip with proofs, for courts, regulators and opposing experts
    ///
    /// The export is put on record first, with who asked, what for and why. With --advisor and no --query, the bundle proves that it
    /// holds all records of these advisors in the time given. What is withheld stays provable and is named with its reason. The bundle
    /// is verified before it appears under its name; README.txt in it says how anybody else does that.
    #[command(
        after_help = "Examples:\n  muniment export --advisor ADVISOR --from 2026-03-01 --until 2026-04-01 --reason \"matter 2026-014\" --out march.zip\n  \
        muniment export --query guaranteed --reason \"quarterly review\" --out review.zip\n  \
        muniment export --record 0198c0de-0000-7000-8000-000000000001 --withhold \"text=attorney-client privilege\" \
        --reason \"subpoena 7\" --out one.zip\n\
        Whoever gets it: muniment-verify bundle march.zip --vkey KEY"
    )]
    Export(Export),
    /// Print the newest signed checkpoint, after publishing what is not yet covered
    #[command(
        after_help = "Example:\n  muniment checkpoint > checkpoint-$(date +%F).txt   # keep it outside: it bounds any later rewriting"
    )]
    Checkpoint,
    /// Drop the projections and make them again from the ledger
    #[command(after_help = "Example:\n  muniment rebuild   # safe at any time: entries and content are not touched")]
    Rebuild,
    /// The network rules
    #[command(subcommand)]
    Rules(Rules),
    /// Run rules for `serve` in a process of their own
    #[command(hide = true)]
    RecognizeWorker(RecognizeWorker),
}

/// `export`
#[derive(Debug, Args)]
pub struct Export {
    /// Records of this advisor; may be given more than once
    #[arg(long = "advisor", value_name = "ID")]
    pub advisors: Vec<AdvisorId>,
    /// This record; may be given more than once
    #[arg(long = "record", value_name = "ID")]
    pub records: Vec<RecordId>,
    /// Only records that hold these words: inflected forms too, a phrase in quotes, -without, or
    #[arg(long, value_name = "WORDS")]
    pub query: Option<String>,
    /// From this time on: a date (its first moment, UTC) or a time such as 2026-03-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Until before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// The matter it is for; alone, all records of its custodians
    #[arg(long, value_name = "ID")]
    pub matter: Option<MatterId>,
    /// Show no such field (0.text, or text for every communication), or nothing of a record, and say why; may be given more than once
    #[arg(long = "withhold", value_name = "FIELD=REASON|RECORD=REASON")]
    pub withhold: Vec<Withhold>,
    /// What to make of the records besides the page, the table and the lines: eml (a mail each), rsmf (Relativity's Short Message
    /// Format), load-file (Concordance DAT); may be given more than once
    #[arg(long = "rendition", value_name = "NAME")]
    pub renditions: Vec<Rendition>,
    /// Why: goes on record with the export
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// File to write; nothing is overwritten
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `dispose`
#[derive(Debug, Args)]
pub struct Dispose {
    /// Do it
    #[arg(long, requires = "reason")]
    pub confirm: bool,
    /// Why: goes on record before anything goes
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Instead, write the proof that this record, or all of this disposal (by the id of its entry), was disposed of
    #[arg(long, value_name = "ID", requires = "out", conflicts_with = "confirm")]
    pub proof: Option<uuid::Uuid>,
    /// File for the proof; the same for people is written beside it as .html. Nothing is overwritten
    #[arg(long, value_name = "FILE", requires = "proof")]
    pub out: Option<PathBuf>,
}

/// `keys`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List the master keys by name, and how many record keys each wraps
    List,
    /// Put another master key in place of this one, and wrap every record's key again under it
    ///
    /// Content is not touched. The old key goes on opening what it has wrapped until `keys retire`; `serve` takes the new one up by itself. May be
    /// killed at any moment and run again: it goes on where it was. Exit code 3 while keys are left under another. As the owner of the database.
    #[command(after_help = "Example:\n  muniment keys rotate-master --reason \"yearly rotation\"")]
    RotateMaster {
        /// Why: goes on record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Forget former master keys, once nothing is left under them
    ///
    /// After this, and once every copy of them is destroyed, no backup from before the rotation can be read any more: what was disposed of is gone
    /// from those too.
    #[command(after_help = "Example:\n  muniment keys retire --reason \"the rotation of 2026 is through\"")]
    Retire {
        /// Why: goes on record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Every `serve` was started again since the rotation: do not wait a day for what was begun before
        #[arg(long)]
        restarted: bool,
    },
}

/// `retention`
#[derive(Debug, Subcommand)]
pub enum Retention {
    /// Show, or as the owner of the database set, how long the archive keeps everything at least, whatever the schedule says
    ///
    /// Each change is on record, and kept with the entry at which it began, so that older disposals are held against the floor of their time.
    #[command(
        after_help = "Examples:\n  muniment retention floor\n  muniment retention floor \"3 years\" --reason \"counsel's advice of 2026-11-02\""
    )]
    Floor {
        /// How long, such as "6 years"
        #[arg(value_name = "LENGTH", requires = "reason")]
        length: Option<Length>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// `recognize-worker`
#[derive(Debug, Args)]
pub struct RecognizeWorker {
    /// Directory with `<network>/rules.toml`, added to the rules built in
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Most memory this process may take, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20)]
    pub memory: u64,
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the data in this new directory, and keep serving until interrupted
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `ca`
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Print the root certificate, for devices to trust
    #[command(
        after_help = "Examples:\n  muniment ca export > firm-ca.pem\n  muniment ca export --form der --out firm-ca.cer"
    )]
    Export {
        /// How to write it
        #[arg(long, value_enum, default_value_t = CertificateForm::Pem)]
        form: CertificateForm,
        /// File to write instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Use the firm's own root, instead of the one made at first start
    ///
    /// The issuing certificate, constrained to the intercepted names, is made anew under it.
    #[command(after_help = "Example:\n  muniment ca import --certificate root.pem --key root.key")]
    Import {
        /// PEM file with the root certificate
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// PEM file with its private key (PKCS #8)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Make a new issuing certificate with a new key; devices need no change
    #[command(after_help = "Example:\n  muniment ca rotate   # `serve` takes it up by itself")]
    Rotate,
}

/// How a certificate is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CertificateForm {
    /// Text between BEGIN and END lines.
    Pem,
    /// Bytes, as phones like it.
    Der,
}

/// `webhook`
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// List the webhooks, with where each leads, and whether it delivers
    List,
}

/// `matter`
#[derive(Debug, Subcommand)]
pub enum Matter {
    /// List the matters, open and closed
    List,
}

/// `hold`
#[derive(Debug, Subcommand)]
pub enum Hold {
    /// List the holds, with what each covers, and whether it is in force
    List,
    /// Look for what holds with a query select, up to the end of the ledger
    ///
    /// `serve` does so by itself once a minute. Until a record has been looked at, such a hold covers it: run this before a disposal, so that
    /// nothing is kept for want of a look.
    Evaluate,
}

/// `source`
#[derive(Debug, Subcommand)]
pub enum Source {
    /// Give up a proxy that is lost for good, with its disk: its open captures are closed as unknown
    ///
    /// Where its data directory still exists, start it instead, on any machine: it closes them by itself, and what waits in its spool is
    /// appended. What it had kept to itself is put on record as a gap. Run this on another proxy.
    #[command(
        after_help = "Example:\n  muniment source close 0198c0de-0000-7000-8000-000000000001   # GET /v1/system lists them"
    )]
    Close {
        /// Which: `sources` of GET /v1/system, or the file `source` of its data directory
        #[arg(value_name = "ID")]
        source: SourceId,
        /// How long it must have appended nothing
        #[arg(long, value_name = "LENGTH", default_value = "1h")]
        silent_for: Span,
    },
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A checkpoint kept outside; the archive must be a continuation of it. May be given more than once
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
}

/// `rules`
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Read and compile the rule sets; prints each with its digest
    #[command(after_help = "Example:\n  muniment rules check config/networks")]
    Check {
        /// Directory with `<network>/rules.toml`; without one, those `serve` would use
        directory: Option<PathBuf>,
    },
    /// Run every fixture through its rule and compare
    #[command(after_help = "Example:\n  muniment rules test config/networks tests/fixtures")]
    Test {
        /// Directory with `<network>/rules.toml`
        directory: PathBuf,
        /// Directory with `<network>/<case>/` fixtures
        fixtures: PathBuf,
        /// Take what is recognised now as what is expected; read the difference before you commit it
        #[arg(long)]
        update: bool,
    },
}

fn check_config_help() -> String {
    use std::fmt::Write as _;
    let mut text = "Every key is in config/muniment.toml. Environment variables:\n".to_owned();
    for (name, what) in crate::settings::VARIABLES {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "  {name:<28} {what}");
    }
    text
}
