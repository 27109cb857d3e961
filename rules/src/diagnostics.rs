//! Diagnostics as data: one table of codes, and what a message about rule files consists of.
//!
//! Every stage of loading reports through [`Diagnostic`]; [`crate::report`] makes text or JSON of it. Codes that Falco
//! has keep Falco's names; our own begin with `CB_`.

use crate::source::{FileId, FileSpan};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Loading fails.
    Error,
    /// Loading goes on.
    Warning,
    /// Worth knowing; nothing is wrong.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $title:literal, $explanation:literal;)*) => {
        /// What a diagnostic is about.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)] // the table below is the documentation
        pub enum Code { $($variant,)* }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in messages (`LOAD_…` as in Falco, `CB_…` for our own).
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it makes loading fail.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// A few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    FileRead "LOAD_ERR_FILE_READ" Error "file cannot be read",
        "The path does not exist, is not readable, or is no file of a kind that holds rules.";
    YamlParse "LOAD_ERR_YAML_PARSE" Error "not YAML",
        "The file is no YAML, no UTF-8 text, or beyond the limits for size and nesting. Nothing of it was read.";
    YamlValidate "LOAD_ERR_YAML_VALIDATE" Error "wrong structure",
        "The YAML is well-formed, but an item lacks a required key, a value is of the wrong kind or empty, or a key \
         does not fit the others.";
    CompileCondition "LOAD_ERR_COMPILE_CONDITION" Error "condition does not compile",
        "The condition does not follow the grammar, names a field or an event type that does not exist, or compares a \
         field with something it cannot be compared with.";
    CompileOutput "LOAD_ERR_COMPILE_OUTPUT" Error "output does not compile",
        "The output names a field that does not exist for the rule's source, or a `%` that starts no field.";
    Validate "LOAD_ERR_VALIDATE" Error "item does not fit the others",
        "The item refers to something that is not there (a macro, an earlier rule), asks for another engine version, \
         or has an exception whose parts do not fit each other.";
    Extension "LOAD_ERR_EXTENSION" Error "error in an extension item", "Reserved.";
    UnknownSource "LOAD_UNKNOWN_SOURCE" Warning "unknown event source",
        "The rule is for a source whose events this tool does not read. The rule is left out.";
    UnsafeNaCheck "LOAD_UNSAFE_NA_CHECK" Warning "unsafe comparison with <NA>",
        "An absent field equals nothing, so this is no test for absence. Use `exists`.";
    NoEvttype "LOAD_NO_EVTTYPE" Warning "condition applies to too many event types",
        "The condition can be true on more than 100 event types, so the rule is evaluated on nearly all events. Add \
         an evt.type term, or set warn_evttypes: false if this is meant.";
    UnknownFilter "LOAD_UNKNOWN_FILTER" Warning "rule left out because of an unknown field or event type",
        "The rule names a field or event type that does not exist and says skip-if-unknown-filter: true, or it is for a \
         source of which only the `json.*` and `evt.*` fields are known.";
    UnusedMacro "LOAD_UNUSED_MACRO" Warning "unused macro", "No rule and no macro uses it.";
    UnusedList "LOAD_UNUSED_LIST" Warning "unused list", "No rule, macro or list uses it.";
    UnknownItem "LOAD_UNKNOWN_ITEM" Warning "unknown kind of item",
        "The item has none of the keys rule, macro, list, required_engine_version and required_plugin_versions. It is \
         ignored.";
    UnknownKey "LOAD_UNKNOWN_KEY" Warning "unknown key", "The key does not belong to this kind of item. It is ignored.";
    DeprecatedItem "LOAD_DEPRECATED_ITEM" Warning "deprecated",
        "It still works, but there is a better form, or the field never has a useful value any more.";
    WarningExtension "LOAD_WARNING_EXTENSION" Warning "warning in an extension item", "Reserved.";
    AppendNoValues "LOAD_APPEND_NO_VALUES" Warning "appended exception without values",
        "Appending to an exception adds values; this entry has none, so it changes nothing.";
    ExceptionNameNotUnique "LOAD_EXCEPTION_NAME_NOT_UNIQUE" Warning "exception name occurs twice",
        "Two exceptions of one rule have the same name. Both apply, but only the first can be appended to.";
    InvalidMacroName "LOAD_INVALID_MACRO_NAME" Warning "name cannot be used in a condition",
        "Names of macros consist of letters, digits and underscores and begin with a letter. No condition can refer \
         to this one.";
    InvalidListName "LOAD_INVALID_LIST_NAME" Warning "unsuitable name of a list",
        "Names of lists should have no blanks, parentheses, quotes, commas or `=`.";
    ConditionHint "LOAD_COMPILE_CONDITION" Warning "condition may not mean what it says",
        "The condition compiles, but part of it looks like something else was meant.";
    PluginRequirement "CB_PLUGIN_REQUIREMENT" Error "required plugin is not there",
        "The rule file needs a plugin, in a version, that this tool does not stand in for.";
    DuplicateKey "CB_DUPLICATE_KEY" Warning "key occurs twice", "The first occurrence counts, the later one is ignored.";
    UnknownInnerKey "CB_UNKNOWN_KEY" Warning "unknown key inside an item", "The key is ignored.";
    OverrideIgnored "CB_OVERRIDE_IGNORED" Warning "override is no mapping",
        "override must map keys to append or replace. As it stands it is ignored, and the item counts as a complete \
         definition.";
    NoRules "CB_NO_RULE_FILES" Warning "no rule files here",
        "The directory, values file or manifest holds no rule file.";
    TestCase "CB_TEST_CASE" Error "test case is wrong",
        "A case of `casebook-replay test` has a key, a rule, a field or a value that does not exist or does not fit. The \
         case is not run: a test that asks for something else than it says is worse than none.";
    NeverTrue "CB_NEVER_TRUE" Warning "rule can never be true",
        "Parts of the condition that must hold together contradict each other, or leave no event type. The rule will \
         never report anything.";
    SwitchedOff "CB_SWITCHED_OFF" Note "rule is switched off by its condition",
        "The condition needs something that is false by design, such as a never_true macro or an empty list. Override \
         that macro or list to switch the rule on, or use enabled: false to say the same clearly.";
    ExceptionSilences "CB_EXCEPTION_SILENCES_RULE" Warning "exception silences the whole rule",
        "Whatever fulfils the condition of the rule fulfils the exception as well, so the rule never reports anything.";
    DeadComparison "CB_DEAD_COMPARISON" Warning "comparison is never true",
        "By a peculiarity of the rule language the comparison is false whatever the event is.";
    ConstantTooLong "CB_CONSTANT_TOO_LONG" Warning "text longer than the field can be",
        "The kernel keeps 15 bytes of a process's name. A longer text never equals it: cut it, or compare \
         proc.exepath or proc.exe.";
    OverlookedConstants "CB_OVERLOOKED_CONSTANTS" Warning "only the first constant counts",
        "For this field and operator Falco looks at the first constant only. The others change nothing.";
    FieldNotInEvent "CB_FIELD_NOT_IN_EVENT" Warning "field that these events do not have",
        "None of the event types on which this part of the condition can be true has the field, so the comparison is \
         always false.";
    AncestorNotEqual "CB_ANCESTOR_NOT_EQUAL" Warning "!= looks for some ancestor that differs",
        "On all ancestors at once, != is true when any of them differs, which is nearly always. 'not FIELD = X' is \
         true when none of them equals.";
    AbsentNotEqual "CB_ABSENT_NOT_EQUAL" Warning "!= is false where the field is absent",
        "Every comparison on an absent field is false, also !=. 'not FIELD = X' is true there.";
    NaText "CB_NA_TEXT" Warning "comparison with the text <NA>",
        "Outputs print <NA> for absent values, but the field is absent, not that text: = never matches it and != is no \
         test for presence. Use 'exists'.";
    NeedsMetadata "CB_NEEDS_METADATA" Note "rule needs container metadata",
        "The condition needs what only a container runtime can tell, such as the image. It is false in captures that were \
         taken without a runtime, or before the runtime had answered.";
    NoValueOffline "CB_NO_VALUE_OFFLINE" Note "field without a value on captures",
        "The field needs something that captures do not hold. Comparisons on it are false and outputs print <NA>.";
    OutputNoValue "CB_OUTPUT_NO_VALUE" Warning "output field that these events do not have",
        "None of the event types of the rule has the field, so the output always prints <NA> for it.";
    ShadowedRule "CB_SHADOWED_RULE" Warning "rule is shadowed by an earlier one",
        "Whenever this rule is true, an earlier one is true as well. Only the first true rule is reported unless \
         rule_matching is 'all', so this one never is.";
    RepeatedItem "CB_REPEATED_ITEM" Note "item occurs twice", "The list has the same item more than once.";
    ExpensiveFirst "CB_EXPENSIVE_FIRST" Note "costly term before a cheap one",
        "Conditions are evaluated from left to right until the result is clear. A regular expression or a walk over all \
         ancestors should come after cheap comparisons that often decide.";
    NoAttackId "CB_NO_ATTACK_ID" Note "rules without an ATT&CK id",
        "A tag like T1059 or T1059.004 names the technique a rule detects, TA0002 a tactic; reports group alerts by them.";
    BadAttackId "CB_BAD_ATTACK_ID" Warning "malformed ATT&CK id",
        "ATT&CK techniques are written T1234 or T1234.001, tactics TA0001, with a capital T.";
}

impl Code {
    /// Whether Falco has this code.
    pub fn is_falco(self) -> bool {
        self.name().starts_with("LOAD_")
    }

    /// Whether only [`crate::lint`] gives this code, never a load.
    pub fn is_lint(self) -> bool {
        self as usize >= Self::NeverTrue as usize
    }

    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// Kinds of items in a rule file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // the words are the documentation
pub enum ItemKind {
    Rule,
    Macro,
    List,
    RequiredEngineVersion,
    RequiredPluginVersions,
}

impl ItemKind {
    /// The word for it in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Macro => "macro",
            Self::List => "list",
            Self::RequiredEngineVersion => "required_engine_version",
            Self::RequiredPluginVersions => "required_plugin_versions",
        }
    }
}

/// The item a diagnostic belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ItemRef {
    /// Its kind.
    pub kind: ItemKind,
    /// Its name; empty for items without.
    pub name: String,
}

/// A place with a few words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// The place.
    pub span: FileSpan,
    /// The words; may be empty.
    pub text: String,
}

/// A message about a rule file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// What it is about.
    pub code: Code,
    /// The message: one sentence, no final stop.
    pub message: String,
    /// Where it is.
    pub primary: Option<Label>,
    /// Other places: where a macro is used, where a list name stands, the earlier definition.
    pub secondary: Vec<Label>,
    /// The item it belongs to.
    pub item: Option<ItemRef>,
    /// What to do instead.
    pub hint: Option<String>,
    /// The file whose loading brought it up. Items of earlier files are compiled again with every file.
    pub file: Option<FileId>,
}

impl Diagnostic {
    /// A message without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), primary: None, secondary: Vec::new(), item: None, hint: None, file: None }
    }

    /// With its place.
    #[must_use]
    pub fn at(self, span: FileSpan) -> Self {
        self.at_with(span, "")
    }

    /// With its place and a few words there.
    #[must_use]
    pub fn at_with(mut self, span: FileSpan, text: impl Into<String>) -> Self {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// With another place.
    #[must_use]
    pub fn and_at(mut self, span: FileSpan, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// With advice, if there is any.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// With its item.
    #[must_use]
    pub fn of(mut self, kind: ItemKind, name: impl Into<String>) -> Self {
        self.item = Some(ItemRef { kind, name: name.into() });
        self
    }

    /// Whether it makes loading fail.
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }

    /// What a diagnostic says about which place: equal for repetitions.
    pub fn key(&self) -> (Code, &str, Option<FileSpan>, Option<&ItemRef>, Option<FileSpan>) {
        let place = |label: &Label| label.span;
        let second = self.secondary.first().map(place);
        (self.code, &self.message, self.primary.as_ref().map(place), self.item.as_ref(), second)
    }
}

/// `did you mean 'x'?` for the candidate nearest to a misspelt word.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    crate::suggest::closest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_whose_they_are() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.is_falco() || code.name().starts_with("CB_"), "{code:?}");
            if code.is_falco() {
                assert_eq!(code.severity() == Severity::Error, code.name().starts_with("LOAD_ERR_"), "{code:?}");
            }
        }
    }
}
