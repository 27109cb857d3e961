//! The ledger of anomalies: every counter is declared once, with severity, source and advice.
//!
//! A summary without its ledger says too much: the absence of an alert is no proof. Readers, state and rules count
//! here whatever they could not know; every summary prints what is not zero.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing, nothing is lost.
    Info,
    /// Something was wrong with the input; results may be affected.
    Error,
    /// Evidence is missing.
    DataLoss,
}

impl Severity {
    /// As people and JSON see it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Error => "error",
            Self::DataLoss => "data loss",
        }
    }
}

/// Who noticed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// The kernel side of a recorder.
    Kernel,
    /// The recording program.
    Recorder,
    /// The file itself.
    File,
    /// Our reader.
    Reader,
    /// State reconstruction.
    State,
    /// The rule engine.
    Rules,
}

impl Origin {
    /// As people and JSON see it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Recorder => "recorder",
            Self::File => "file",
            Self::Reader => "reader",
            Self::State => "state",
            Self::Rules => "rules",
        }
    }
}

/// One declared counter.
#[derive(Debug)]
pub struct CounterDef {
    /// Stable name, `snake_case`, part of the JSON output.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Who noticed.
    pub origin: Origin,
    /// One sentence: what it means and what the reader should do.
    pub advice: &'static str,
}

macro_rules! counters {
    ($($variant:ident = $name:literal, $severity:ident, $origin:ident, $advice:literal;)*) => {
        /// A counter of the ledger; [`COUNTERS`] says what each means.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(usize)]
        #[allow(missing_docs)] // the advice in the table is the documentation
        pub enum Counter { $($variant),* }

        /// The table of counters, in the order in which summaries print them.
        pub const COUNTERS: &[CounterDef] = &[$(CounterDef {
            name: $name, severity: Severity::$severity, origin: Origin::$origin, advice: $advice,
        }),*];

        /// All counters in table order.
        pub const ALL: &[Counter] = &[$(Counter::$variant),*];
    };
}

counters! {
    TruncatedInput = "truncated_input", DataLoss, File, "The file ends inside a block or a compressed stream; everything before the cut was used.";
    BrokenCompression = "broken_compression", DataLoss, File, "The gzip or zstd stream is broken; nothing after that place could be unpacked.";
    DamagedFrames = "damaged_frames", DataLoss, File, "Frames of a .scap.zst whose content could not be unpacked; reading went on with the next one (`casebook verify` names them).";
    RebuiltIndexes = "rebuilt_indexes", Info, File, "The index of a .scap.zst is missing or damaged; its frames were found by a scan.";
    MissingFrames = "missing_frames", DataLoss, File, "Frames of a .scap.zst that are missing, damaged or cut off; what happened in them is not known whole.";
    MissingEvents = "missing_events", DataLoss, File, "Events that stood in missing frames, as far as their records still tell.";
    DoubtfulBytes = "doubtful_bytes", Error, File, "Bytes unpacked from a damaged zstd frame before the decompressor noticed: values in them may be wrong.";
    DamagedBytes = "damaged_bytes", DataLoss, File, "Bytes skipped while looking for the next plausible block.";
    DamagedBlocks = "damaged_blocks", DataLoss, File, "Places at which a block was broken and reading resumed further on.";
    DamagedEvents = "damaged_events", DataLoss, File, "Events whose lengths do not fit their block; skipped.";
    DamagedSnapshotEntries = "damaged_snapshot_entries", DataLoss, File, "Entries of the process, fd, user or interface lists that do not fit; skipped.";
    UnknownBlocks = "unknown_blocks", Info, File, "Blocks of a type this version does not know; skipped by their length.";
    UnknownEventTypes = "unknown_event_types", DataLoss, Reader, "Events of a type newer than our table; skipped.";
    SurplusParameters = "surplus_parameters", Info, Reader, "Events with more parameters than our table has; the known ones were used.";
    UnknownConversions = "unknown_conversions", Info, Reader, "Old events with a parameter count that no conversion rule covers; used as far as they go.";
    LostEnterHalves = "lost_enter_halves", DataLoss, Reader, "Old exit events whose enter half is missing; its parameters are unknown.";
    ClockSteps = "clock_steps", Info, File, "Events more than a second older than one before them.";
    FileGaps = "file_gaps", DataLoss, Recorder, "Rotated files put together that do not follow each other: nothing is known of the time between them.";
    FileOverlaps = "file_overlaps", Error, Recorder, "Rotated files put together that hold the same time: its events may be there twice.";
    KernelDrops = "kernel_drops", DataLoss, Kernel, "Drop markers in the stream: the kernel side lost or sampled events around them.";
    RingFull = "ring_full", DataLoss, Kernel, "Events that found no room in the recorder's ring buffer; record with a larger --buffer or fewer calls.";
    ProgramBusy = "program_busy", DataLoss, Kernel, "Events that came while another was being recorded on the same CPU, or whose program the kernel skipped for that.";
    CutArguments = "cut_arguments", DataLoss, Kernel, "Arguments longer than the recorder keeps; what is there is their beginning.";
    UnreadableArguments = "unreadable_arguments", DataLoss, Kernel, "Arguments in memory that was not there when they were read; they are unknown.";
    ChangedArguments = "changed_arguments", Error, Recorder, "Paths or addresses that the program changed while a call was under way, as an attempt to deceive a recorder does; the events have what the calls were given when they began.";
    UnknownCalls = "unknown_calls", DataLoss, Kernel, "Calls whose number the recorder does not know; they are recorded without name and arguments.";
    UntrackedProcesses = "untracked_processes", DataLoss, Kernel, "Processes that found no room in the recorder's process filter; what they did is not recorded.";
    UnsoundRecords = "unsound_records", DataLoss, Recorder, "Records that the recorder could not take apart or encode; a mistake in it.";
    LateEvents = "late_events", Info, Recorder, "Events that arrived after younger ones had been written; they stand out of order.";
    UnwrittenEvents = "unwritten_events", DataLoss, Recorder, "Events that could not be written because the output refused them.";
    Sections = "sections", Info, File, "Further sections after the first: concatenated captures; state starts anew at each.";
    UnusedCheckpoints = "unused_checkpoints", Info, Reader, "Checkpoints beside a capture that were not used: of another capture, of another version of the program, or damaged. `casebook index` makes new ones; without them only time is lost.";
    UnknownThreads = "unknown_threads", DataLoss, State, "Events of threads that neither the process list nor an earlier event introduced.";
    UnknownParents = "unknown_parents", DataLoss, State, "Clone events whose parent thread is unknown.";
    UnknownFds = "unknown_fds", DataLoss, State, "Events on descriptors of which no open was seen.";
    LostExecs = "lost_execs", DataLoss, State, "Programs that started without an exec in the capture; what runs there is unknown until the process says it.";
    LostClones = "lost_clones", DataLoss, State, "Threads of which the clone is missing, in whole or one half of it.";
    LostExits = "lost_exits", DataLoss, State, "Threads that ended without an exit in the capture, or went on after it.";
    LostOpens = "lost_opens", DataLoss, State, "Descriptor numbers that the kernel passed over, so they are open, although no open of them was seen.";
    LostCloses = "lost_closes", DataLoss, State, "Descriptor numbers that the kernel gave out again although no close of them was seen.";
    LostChanges = "lost_changes", DataLoss, State, "Facts about a process or descriptor (session, group, user, parent, kind) that an event contradicts: the call that changed them is missing.";
    MissingContainerMetadata = "missing_container_metadata", DataLoss, State, "Containers known by their cgroup only: name, image, mounts and privileges are unknown, and rules about them cannot hold.";
    StateLimit = "state_limit", DataLoss, State, "Entries not kept because a state table was full.";
    BrokenAuditDocuments = "broken_audit_documents", DataLoss, File, "Places in an audit log that are no JSON, nested too deeply, or cut off; passed over.";
    UntimedAuditEvents = "untimed_audit_events", DataLoss, Reader, "Audit events without a stageTimestamp that is a time; passed over, as Falco does.";
    OversizedAuditEvents = "oversized_audit_events", DataLoss, Reader, "Audit events longer than 262144 bytes of compact JSON; passed over, as Falco does.";
    ForeignDocuments = "foreign_documents", Info, Reader, "JSON documents of an audit log that are no audit events; passed over.";
    MistypedAuditEvents = "mistyped_audit_events", Error, File, "Audit events in which a member is of another type than audit.k8s.io/v1 gives it; replayed, but fields below that member are absent.";
    UnidentifiedAuditEvents = "unidentified_audit_events", Info, File, "Audit events without an auditID; replayed, but all ka.* fields are absent, as in Falco.";
    RepeatedAuditEvents = "repeated_audit_events", Info, File, "Audit events with the id and stage of an earlier one; replayed like all others.";
    TablesFull = "tables_full", DataLoss, Reader, "Rows that analysis tables had no room for, by their own bounds or by --limit-memory; counts over these tables are too small.";
    UnsupportedSource = "unsupported_source", DataLoss, Rules, "Plugin events of a source that no loaded rule set can read.";
    AlertsOnAbsentFields = "alerts_on_absent_fields", DataLoss, Rules, "Alerts that rest on fields which the capture does not tell, such as the image of a container without container events: each may be a guess, and its JSON names the fields under `absent`.";
    EvaluationErrors = "evaluation_errors", Error, Rules, "Conditions whose evaluation was aborted, as Falco aborts it.";
}

impl Counter {
    /// What the table says of it.
    pub fn def(self) -> &'static CounterDef {
        &COUNTERS[self as usize]
    }
}

/// Counts of anomalies, indexed by [`Counter`]. Two that count the same are equal and look alike.
#[derive(Clone)]
pub struct Ledger {
    counts: [u64; COUNTERS.len()],
    changes: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { counts: [0; COUNTERS.len()], changes: 0 }
    }
}

impl PartialEq for Ledger {
    fn eq(&self, other: &Self) -> bool {
        self.counts == other.counts
    }
}

impl Eq for Ledger {}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.findings().map(|(counter, n)| (counter.name, n))).finish()
    }
}

impl Ledger {
    /// Counts one.
    #[inline]
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `n`; saturates.
    #[inline]
    pub fn add(&mut self, counter: Counter, n: u64) {
        let slot = &mut self.counts[counter as usize];
        *slot = slot.saturating_add(n);
        self.changes = self.changes.wrapping_add(1);
    }

    /// A number that is another after each count, for whoever wants to know cheaply whether there was one.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The count so far.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts[counter as usize]
    }

    /// Adds all counts of another ledger (captures of one run, threads of one replay).
    pub fn merge(&mut self, other: &Self) {
        for &counter in ALL {
            self.add(counter, other.get(counter));
        }
    }

    /// The counter of this name; `None` when the table has none.
    pub fn counter_named(name: &str) -> Option<Counter> {
        ALL.iter().copied().find(|&counter| COUNTERS[counter as usize].name == name)
    }

    /// Whether part of the input itself is broken or missing, as opposed to what its recorder lost.
    pub fn is_damaged(&self) -> bool {
        self.findings().any(|(def, _)| def.severity == Severity::DataLoss && def.origin == Origin::File)
    }

    /// The counts of chosen counters.
    #[must_use]
    pub fn only(&self, chosen: impl Fn(&CounterDef) -> bool) -> Self {
        let mut ledger = Self::default();
        for &counter in ALL.iter().filter(|counter| chosen(counter.def())) {
            ledger.add(counter, self.get(counter));
        }
        ledger
    }

    /// Counters that are not zero, in table order.
    pub fn findings(&self) -> impl Iterator<Item = (&'static CounterDef, u64)> + '_ {
        ALL.iter().map(|&counter| (&COUNTERS[counter as usize], self.get(counter))).filter(|(_, n)| *n > 0)
    }
}
