//! The command line: what can be asked for, and the help that teaches it.

pub mod export;
pub mod filters;
pub mod grant;
pub mod policy;
pub mod review;

#[cfg(feature = "record")]
use std::ffi::OsString;
use std::{fmt::Display, num::NonZeroUsize, path::PathBuf, str::FromStr};

#[cfg(any(feature = "record", test))]
use clap::CommandFactory as _;
use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};

/// Where keys are kept unless `--keys` says otherwise.
pub const KEYS_DIR: &str = "/var/lib/lineage/keys";

/// Execution evidence for autonomous AI systems.
///
/// Records in the kernel what a process and all its descendants do, links every event to its
/// cause, signs it, and writes Parquet that anyone can verify offline.
#[derive(Debug, Parser)]
#[command(name = "lineage", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Why there is no command to run.
#[derive(Debug)]
pub struct Refused {
    /// What to say, with the user's words in it; empty when help was asked for and is printed.
    pub text: String,
    /// The exit status.
    pub status: u8,
}

/// Parses the command line of this process.
///
/// # Errors
///
/// [`Refused`]
pub fn parse() -> Result<Command, Refused> {
    let parsed = Cli::try_parse();
    #[cfg(feature = "record")]
    let parsed = parsed.and_then(|cli| match &cli.command {
        Command::Record(record) => record.check().map(|()| cli),
        _ => Ok(cli),
    });
    let error = match parsed {
        Ok(cli) => return Ok(cli.command),
        Err(error) => error,
    };
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    let help = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let text = if error.use_stderr() && error.kind() != help {
        error.render().to_string()
    } else {
        // A reader that is gone wants no more.
        let _ = error.print();
        String::new()
    };
    Err(Refused { text, status })
}

/// Understands whole numbers from the least on, and says what is expected in the user's words.
fn number<N: FromStr + PartialOrd + Display + Clone>(
    least: N,
) -> impl Fn(&str) -> Result<N, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        Err(_) if is_positive(text) => Err("too large".to_owned()),
        _ => Err(format!("expected a whole number, {least} or more")),
    }
}

/// Understands the beginning of a lineage's id. An empty one would be that of any, which nobody means who asks
/// for one.
fn lineage_id(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(
            "expected the id of a lineage, or how it begins; `lineage tree` shows it".to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn is_positive(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte != b'0')
}

const EXAMPLES: &str = "\
Examples:
  lineage record -o run1 -- python3 agent.py   a command and all it starts
  lineage record -o run2 -p 4242               a running process as well
  lineage tree run1                            see at once what happened
  lineage policy learn run1 -o agent.cedar     a policy that allows just that
  lineage record -o run3 --policy agent.cedar -- python3 agent.py
  lineage key root                             what to pin, off this host
  lineage verify run1 --trust root:9f3c…       check it all, on any machine";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a command, or running processes, and all their descendants.
    ///
    /// The command runs as it would without: same terminal, same exit status (128 + N when signal N
    /// ended it), and Ctrl-C is the command's as long as it runs. Recording goes on until the last
    /// descendant has ended; then, and without a command, Ctrl-C stops and seals. Another signal to
    /// `lineage` is passed on to the command; a second one stops and seals, and the command goes on
    /// unrecorded.
    /// If `lineage` itself cannot start or go on, the exit status is 125; if the command is not
    /// executable or not found, 126 or 127; after wrong usage, 2.
    ///
    /// Programs, scripts, libraries, models, notebooks and prompts are read for their digest (BLAKE3) in
    /// the background, at the lowest priority; docs/digests.md tells which by name. At the end what is
    /// still unread is waited for, up to --digest-wait: Ctrl-C ends that at once, and the rest is recorded
    /// as not read.
    ///
    /// A command that runs already is never ended: when recording
    /// fails or is killed, it goes on unrecorded.
    #[cfg(feature = "record")]
    Record(Record),
    /// Run a command in a lineage of its own, under a narrower grant.
    ///
    /// For a process that is recorded under a grant (`lineage record --grant`) and hands a part of its work to a
    /// sub-agent: asks its recorder, and then becomes the command. What that may do is what every grant of the
    /// chain allows. If the grant is wider than the one that governs in any way, revoked or over, nothing is run, and the
    /// exit status is 125.
    #[cfg(feature = "record")]
    Exec(Exec),
    /// Let a recorder read its grant and policies again.
    ///
    /// What it records is governed by what is in the files now, from one moment to the next; the evidence tells
    /// both. If anything is wrong with them, all stays as it was. Needs root.
    #[cfg(feature = "record")]
    Reload(Reload),
    /// Finish evidence that a crash or power loss left unsealed.
    ///
    /// Seals every whole record that reached the disk, tells of the gap in the evidence, and closes the
    /// log. Repeating it changes nothing.
    Seal(Seal),
    /// Check evidence: every record, signature and link.
    ///
    /// Needs no root, no probes and no network. Keys are never taken from the evidence: pin the epoch
    /// root or the host key that `lineage key root` or `lineage key show` printed on the recording
    /// host.
    ///
    /// Exit status: 0 VERIFIED or VERIFIED_WITH_LOSS, 1 TAMPERED (or not all that --require demands),
    /// 2 wrong usage, 3 INCOMPLETE, UNVERIFIABLE or NOTHING_VERIFIED.
    Verify(Verify),
    /// List records, one line each.
    ///
    /// A line is seq, time (UTC), pid, name of the thread, what happened, and to what. On a terminal lines are cut to its width: details first, then the middle of long paths. Into a
    /// file or pipe everything is written. Records not sealed yet are listed too; `verify` says what is
    /// proven.
    Ls(Ls),
    /// Show one record with all its fields.
    ///
    /// Each field with where its value comes from (kernel structures, claimed by the process's own memory, derived by
    /// the recorder), as it is recorded and, where that is a number, what it means. The records that `cause`,
    /// `opened` and `other_end` name are told in a few words, then what was in the file, what was decided and by which rule,
    /// and what governed: purpose, grants, policies. `verify` says what of that is proven.
    Show(review::Show),
    /// Show the process tree with what each process did.
    ///
    /// Each process with its program, how long it ran and how it ended; below it what it was before (⇐),
    /// its connections (→ to, ← from, on, ↔ a pair, · without an address), what else it did to itself, to
    /// other processes and to names of files (!, more of it with `ls`), and the files worth naming: opened
    /// to be read (r), written (w), both (rw) or neither (·), refused (✗), secret by their name, or data.
    /// ×N are N alike in one line, … is more than there is room for, and <…> what a recogniser takes it
    /// for. Libraries, locales and other parts of the system are only counted.
    Tree(Tree),
    /// Show what happened over time, condensed.
    ///
    /// One line for each interval that has records: when it begins (UTC), a bar and numbers of records about processes,
    /// files and the network, and what stands out in it: what was denied or lost, hosts (→ to, ← from, on), files written
    /// (w), removed (-) and, but for those of the system, read (r), programs started; what was refused is ✗. ×N are N alike,
    /// +N more than there is room for. Lines are about 40, whatever the evidence holds.
    Timeline(review::Timeline),
    /// Tell what two runs did differently.
    ///
    /// Compares what they did, not when: programs and their digests, command lines and how they ended, hosts, files
    /// written, removed and read, denials. Each line is new in B (+), gone from B (-), or changed (~), with the number
    /// of the record that tells it: in B, or in A for what is gone.
    ///
    /// Exit status, as with diff(1): 0 when both did the same, 1 when not, 2 when a part of the evidence cannot be read;
    /// what could be compared is shown all the same.
    Diff(review::Diff),
    /// Explain an event: the programs and the data that led to it.
    ///
    /// First the event, then the programs that led to it, the nearest first, up to the start of the lineage. Below
    /// each what it had taken in until then: files, by identity and not by name, what came through pipes, sockets and
    /// from other hosts. Below that who had written it, and what that program had taken in before.
    /// Every line begins with the number of the record that tells it.
    ///
    /// What is told is known: who ran what, who read and wrote which bytes where. That what a program had read went
    /// into what it wrote afterwards is inferred, because its memory can carry it. Never a cause: what was
    /// read after the event, and what had been in a file before it was emptied.
    ///
    /// Exit status: 0, 2 when the event or a part of the evidence is missing; what could be found is
    /// shown all the same.
    Why(review::Why),
    /// Tell what an event can have influenced since.
    ///
    /// The converse of `why`: the event, then what went where after it, through programs, files, pipes and sockets:
    /// files written, programs run, connections sent to. It says what can be, not what was: a program that had read
    /// something may have written it, or not.
    ///
    /// Exit status: 0, 2 when the event or a part of the evidence is missing; what could be found is
    /// shown all the same.
    Impact(review::Impact),
    /// Write tables that are derived from evidence, for queries.
    ///
    /// For each host three Parquet files, below DIR/host=…: processes.parquet, with all that each descends from and nested
    /// sets of the tree; edges.parquet, what moved from where to where as `why` and `impact` follow it; sessions.parquet, with
    /// how each lineage began and ended and how much happened in it. sql/README.md has their columns, and queries.
    ///
    /// The same evidence gives the same bytes. They are no evidence: nothing in them is signed. With --check they are made anew,
    /// in a temporary directory, and compared; exit status 1 when anything differs. It is 2 when a part of the evidence is missing or does not
    /// fit.
    Index(review::Tables),
    /// Make one page (HTML) of the evidence, to look at and to hand over.
    ///
    /// A file that needs nothing but a browser, and asks for nothing over the network: verdict and findings, who
    /// answers for it, what stands out, what policies decided, a timeline, processes, causes and effects to walk
    /// along, files, connections, and a search over all of it. The same evidence gives the same file.
    ///
    /// With --trust the evidence is verified, and the page begins with the outcome; without, it says that
    /// nothing was verified. The page itself is signed by nobody: who doubts it verifies the evidence.
    ///
    /// Exit status: 0 when the page is written, whatever the verdict in it; 2 when it could not be, or a part of the
    /// evidence is missing: the page has the rest all the same, and says so.
    Report(review::Report),
    /// Write evidence in a format that other tools read.
    ///
    /// Goes through the evidence once, in little memory, and gives the same bytes for the same evidence. What is
    /// written is for looking at, alerting and correlating: it is not signed, and only the evidence itself can be
    /// verified. Every format names records by host and `seq`, so what is found there can be looked up with `ls`
    /// and proven. Conditions choose records as they do for `ls`.
    ///
    /// Evidence of which a part cannot be read is exported as far as it can; then the exit status is 2, and standard
    /// error says what is missing.
    Export(export::Export),
    /// Make one small file that proves an event to somebody who has nothing else.
    ///
    /// In it are the record of the event, the records of all its causes down to the start of the lineage, what governed it
    /// (contexts, grants, policies, purpose), and what leads from there to a signature: hashes, manifests, checkpoints
    /// and epoch keys. It holds no other records. It is text; docs/evidence-format.md describes it.
    ///
    /// Only what is sealed can be proven: a minute after it happened at the latest, or after `lineage seal`.
    Prove(review::Prove),
    /// Check a proof that `lineage prove` made.
    ///
    /// Needs nothing but the file and what to trust: keys are never taken from the file. Tells which event is
    /// proven, by how many causes down to the start of its lineage, what governed it, who signed it when, and what is
    /// not proven.
    ///
    /// Exit status: 0 VERIFIED or VERIFIED_WITH_LOSS (its first cause was lost), 1 TAMPERED (or not all that --require
    /// demands), 2 wrong usage, 3 INCOMPLETE, UNVERIFIABLE or NOTHING_VERIFIED.
    VerifyProof(review::VerifyProof),
    /// Make and show the keys that sign evidence on this host.
    #[command(subcommand)]
    Key(Key),
    /// Make, narrow, inspect and take back grants.
    ///
    /// A grant is signed by somebody who answers for it. It says what a lineage is for, which policies
    /// govern it, which processes it is for, and until when; it can be given on to sub-agents, but only narrower.
    /// docs/grants.md describes the format: in-toto statements in DSSE envelopes.
    ///
    /// `lineage record --grant` binds a command to one, `lineage exec --grant` a sub-agent to a narrower one.
    #[command(subcommand)]
    Grant(grant::Grant),
    /// Check policies, and ask what they allow.
    ///
    /// Policies are written in Cedar, the language of cedarpolicy.com; `lineage policy schema` prints what they can
    /// speak of, and docs/policies.md tells what of the language the kernel can enforce.
    ///
    /// `lineage record --policy` holds a command to one.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Tell what can be recorded on this host, and what cannot.
    #[cfg(feature = "record")]
    Doctor(Doctor),
    /// Tell what is being recorded on this host, and how far it has come.
    ///
    /// Of each recorder: where it records into, records and lost events so far, processes, and how far
    /// the reading of files for their digests has come. One that was killed is told too, until its
    /// evidence is sealed. Needs root. Exit status 1 when a directory is named and nothing is recorded
    /// into it.
    #[cfg(feature = "record")]
    Status(Status),
    /// List what is recognised, and check a file of recognisers.
    ///
    /// Recognisers give records labels by what the records hold: model files, package installs, scripts,
    /// accelerators, notebooks, agents and MCP servers. `ls`, `tree` and the column `recognised` show them.
    /// docs/recognisers.md tells how to write one's own.
    #[cfg(feature = "record")]
    Recognisers(Recognisers),
}

/// Where the keys are.
#[derive(Debug, Args)]
pub struct Keys {
    /// Directory of the signing keys.
    #[arg(long = "keys", value_name = "DIR", default_value = KEYS_DIR)]
    pub dir: PathBuf,
}

/// Options of `lineage record`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
#[command(after_help = RECORD_EXAMPLES)]
pub struct Record {
    /// Directory for the evidence; must be new or empty, and not in other evidence [default:
    /// lineage-TIME, UTC].
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Leave the log open, for more: begin one, or go on with the one in this directory that `--append`
    /// or a crash left open. `lineage seal` completes it, and then no more can follow.
    #[arg(long, requires = "output")]
    pub append: bool,

    /// Record this running process and its descendants, without the recorder itself (may be
    /// repeated).
    #[arg(short, long = "pid", value_name = "PID", value_parser = number(1_u32))]
    pub pids: Vec<u32>,

    /// Where the keys are; made on first use.
    #[command(flatten)]
    pub keys: Keys,

    /// Stop when the command ends, even if processes it started still run.
    #[arg(long)]
    pub until_exit: bool,

    /// What is recorded of the environments of processes, which their own memory shows: the names of
    /// the variables; their values as well, but for what looks like a secret by its name or form; or
    /// nothing. With names or values there is also what programs were told of a trace when they were executed
    /// (TRACEPARENT, TRACESTATE, BAGGAGE), but for what looks like a secret.
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub environment: Environment,

    /// Do not record this kind, such as `file.chmod,process.signal`: the calls that make it then
    /// cost what calls cost that are never recorded, and the evidence names them (may be repeated). What other records depend on cannot be left out.
    /// What a policy governs is looked at whole, so the two do not go together.
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        conflicts_with = "policies"
    )]
    pub leave_out: Vec<String>,

    /// Also recognise what this file describes (see `lineage recognisers` and docs/recognisers.md).
    #[arg(long, value_name = "FILE")]
    pub recognisers: Option<PathBuf>,

    /// Read further opened files for their digest: those whose name matches, or whose path does if the
    /// pattern has a `/` in it; `*` is any text (may be repeated).
    #[arg(long, value_name = "GLOB", conflicts_with = "no_digests")]
    pub digest: Vec<String>,

    /// Record no digests.
    #[arg(long)]
    pub no_digests: bool,

    /// Hold what is recorded to this policy (may be repeated; see `lineage policy` and docs/policies.md).
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,

    /// Bind what is recorded to this grant, whose policies are given with --policy (see `lineage grant` and
    /// docs/grants.md): nothing is allowed before it begins, after it ends, or once it is revoked.
    #[arg(long, value_name = "FILE", requires_all = ["policies", "trust"])]
    pub grant: Option<PathBuf>,

    /// Who may issue grants: a public key, or a file of one (may be repeated).
    #[arg(long, value_name = "KEY", requires = "grant")]
    pub trust: Vec<String>,

    /// A revocation, or a directory of them (*.json), looked for every second.
    #[arg(long, value_name = "PATH", requires = "grant")]
    pub revocations: Option<PathBuf>,

    /// What becomes of what the policies deny: only recorded (audit), or prevented as far as this kernel can,
    /// and otherwise the process is ended (enforce).
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        default_value_t,
        requires = "policies",
        hide_possible_values = true
    )]
    pub mode: Mode,

    /// Refuse to run when policies can only be enforced in a lesser tier than this (lsm, fexit or trace; see `lineage
    /// doctor` and docs/policies.md).
    #[arg(long, value_name = "TIER", value_parser = policy::tier, requires = "policies")]
    pub require_tier: Option<lineage_common::tier::Tier>,

    /// How long the end of recording waits for digests, seconds.
    #[arg(long, value_name = "SECONDS", value_parser = number(0_u64), default_value_t = 60)]
    pub digest_wait: u64,

    /// Size of the ring for process events, bytes, a power of two.
    #[arg(long, value_name = "BYTES", value_parser = number(1_u32), default_value_t = lineage_common::limits::CONTROL_RING_BYTES, hide_short_help = true)]
    pub control_ring: u32,

    /// Size of the ring for file and network events, bytes, a power of two.
    #[arg(long, value_name = "BYTES", value_parser = number(1_u32), default_value_t = lineage_common::limits::BULK_RING_BYTES, hide_short_help = true)]
    pub bulk_ring: u32,

    /// Say only what is wrong or must be known: losses, warnings, the root of new keys, the end of old
    /// ones.
    #[arg(short, long)]
    pub quiet: bool,

    /// End with one line of JSON on standard error instead of the summary; warnings are in it.
    #[arg(long)]
    pub json: bool,

    /// The command and its arguments; needed unless `-p` is given.
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[cfg(feature = "record")]
impl Record {
    /// Whether there is something to record, in words that say what.
    fn check(&self) -> Result<(), clap::Error> {
        let problem = if !self.command.is_empty() {
            return Ok(());
        } else if self.pids.is_empty() {
            "nothing to record: give a command, or -p PID for a running process"
        } else if self.until_exit {
            "--until-exit is about the end of a command, and there is none: what -p PID names is \
             recorded until its own end, or Ctrl-C"
        } else {
            return Ok(());
        };
        let mut lineage = Cli::command();
        lineage.build();
        let record = lineage.find_subcommand_mut("record");
        let record = record.expect("`lineage record` is among the commands");
        Err(record.error(ErrorKind::MissingRequiredArgument, problem))
    }
}

/// Options of `lineage exec`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
#[command(after_help = EXEC_EXAMPLES)]
pub struct Exec {
    /// The grant: a file that `lineage grant narrow` wrote.
    #[arg(long, value_name = "FILE")]
    pub grant: PathBuf,

    /// Where the recorder listens [default: what LINEAGE_CONTROL says, which the recorder sets for the command it
    /// starts].
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,

    /// The command and its arguments.
    #[arg(trailing_var_arg = true, value_name = "CMD", required = true)]
    pub command: Vec<OsString>,
}

#[cfg(feature = "record")]
const EXEC_EXAMPLES: &str = "\
Examples:
  lineage grant narrow grant.json --key lead.pem --purpose 'Read the logs' --for 10m -o child.json
  lineage exec --grant child.json -- python3 reader.py";

/// Options of `lineage reload`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
pub struct Reload {
    /// Directory of the evidence that is being recorded.
    pub evidence: PathBuf,
}

/// What becomes of what policies deny.
#[cfg(feature = "record")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Mode {
    /// It is recorded.
    Audit,
    /// It is prevented, or the process is ended.
    #[default]
    Enforce,
}

/// What is recorded of the environments of processes.
#[cfg(feature = "record")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Environment {
    /// The names of the variables.
    #[default]
    Names,
    /// Names and values, but for what may be a secret.
    Values,
    /// Nothing.
    None,
}

#[cfg(feature = "record")]
const RECORD_EXAMPLES: &str = "\
Examples:
  lineage record -- make -j8
  lineage record -o /var/evidence/run7 --until-exit -- ./agent --task task.json
  lineage record -o attach1 -p $(pgrep -f agent.py)
  lineage record -o run8 --policy agent.cedar --mode audit -- ./agent
  lineage record -o run9 --policy agent.cedar --grant grant.json --trust issuer.pub -- ./agent";

/// Options of `lineage seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// What to trust: `root:<64 hex digits>`, a verifier key, `ed25519:<64 hex digits>` of who may issue grants, or a
    /// file holding any of them, or the last in PEM (may be repeated).
    #[arg(long, value_name = "KEY-OR-ROOT", required = true)]
    pub trust: Vec<String>,

    /// Demand more: sealed, pinned (an epoch root, not only the host key), witnessed, no-loss (and
    /// sealed), original (every Parquet file the one the recorder wrote, byte for byte), governed (every lineage
    /// without a break, by grants whose issuers are trusted).
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub require: Vec<String>,

    /// Verifier key of a witness whose cosignature counts for `--require witnessed`.
    #[arg(long, value_name = "KEY")]
    pub witness: Vec<String>,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,

    /// Threads to use, at most 64 [default: one per core]. Each may need some 100 MB, more for files
    /// that another program wrote.
    #[arg(long, value_name = "N", value_parser = number(NonZeroUsize::MIN))]
    pub threads: Option<NonZeroUsize>,
}

/// Options of `lineage ls`.
#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub struct Ls {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// Which records.
    #[command(flatten)]
    pub filters: filters::Filters,

    /// At most this many records.
    #[arg(short = 'n', long, value_name = "N", value_parser = number(0_u64))]
    pub limit: Option<u64>,

    /// One JSON object per record with all its fields, for programs.
    #[arg(long, alias = "json")]
    pub ndjson: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

const LS_EXAMPLES: &str = "\
Examples:
  lineage ls run1 --failed                      what did not work
  lineage ls run1 -k exec                       every program that was run
  lineage ls run1 -k open,close --path '/etc/*' who touched the configuration
  lineage ls run1 -r '*-install,model-file'     packages installed, models used
  lineage ls run1 --peer '*:443'                connections to port 443
  lineage ls run1 --decision deny               what a policy did not allow
  lineage ls run1 --since 5m                    the last five minutes that are recorded
  lineage ls run1 --since @4711 --until 12:03   from one record to the end of a minute
  lineage ls run1 --ndjson | jq -r 'select(.bytes_written > 0).path'

The fields of --ndjson are described in docs/schema.md.";

/// Options of `lineage tree`.
#[derive(Debug, Args)]
pub struct Tree {
    /// Directory of the evidence.
    pub evidence: PathBuf,

    /// Only these processes and their descendants.
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = number(1_i64))]
    pub pid: Vec<i64>,

    /// Files, and connections, shown per process.
    #[arg(long, value_name = "N", value_parser = number(0_usize), default_value_t = 6)]
    pub most: usize,

    /// Levels shown below the first.
    #[arg(long, value_name = "N", value_parser = number(0_usize), default_value_t = 40)]
    pub depth: usize,

    /// Show every process on a line of its own, and files of the system too.
    #[arg(short, long, conflicts_with = "most")]
    pub all: bool,

    /// Print one JSON object instead of the drawing.
    #[arg(long)]
    pub json: bool,

    /// Whether to use colours.
    #[command(flatten)]
    pub colour: Colour,
}

/// Whether to use colours.
#[derive(Debug, Clone, Copy, Args)]
pub struct Colour {
    /// Colours: on a terminal unless NO_COLOR is set, always, or never.
    #[arg(
        long = "color",
        alias = "colour",
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub when: ColourWhen,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColourWhen {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Not at all.
    Never,
}

/// Make and show the keys that sign evidence on this host.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make the keys of this host.
    New {
        /// Where to put them.
        #[command(flatten)]
        keys: Keys,
        /// How many hourly epochs to enrol (8760 are a year).
        #[arg(long, value_name = "N", value_parser = number(1_u32), default_value_t = 8760)]
        epochs: u32,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Show the host's verifier key and the epochs.
    Show {
        /// Where the keys are.
        #[command(flatten)]
        keys: Keys,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Erase what could still sign for hours that are over.
    ///
    /// Recording and sealing do this on their way. Where a host does neither for hours, run it from
    /// a timer: until it has run, whoever takes the host can sign the last hours of recording again.
    Advance {
        /// Where the keys are.
        #[command(flatten)]
        keys: Keys,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print the epoch root to pin off this host.
    Root {
        /// Where the keys are.
        #[command(flatten)]
        keys: Keys,
    },
}

/// Options of `lineage doctor`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage status`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
pub struct Status {
    /// Only what is recorded into this directory.
    pub evidence: Option<PathBuf>,

    /// Print one JSON object a line instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `lineage recognisers`.
#[cfg(feature = "record")]
#[derive(Debug, Args)]
pub struct Recognisers {
    /// A file of recognisers to check and to add, as `lineage record --recognisers` would.
    pub file: Option<PathBuf>,

    /// Print the file that comes with the program: an example to start from.
    #[arg(long, conflicts_with_all = ["file", "json"])]
    pub built_in: bool,

    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
