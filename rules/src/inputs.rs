//! Inputs as people have them: paths to rule files.
//!
//! A path is a rule file, a directory of rule files, a Helm values file with `customRules`, or a Kubernetes manifest
//! with `ConfigMap`s whose data are rule files. This is the one module of the crate that reads files.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::{Embedded, FileId, MAX_FILE_SIZE, RuleFile, TextMap};
use crate::text::Scalar;
use crate::yaml::{self, Node};

/// The rule files that paths lead to, in order. What cannot be read becomes an unreadable file, which loading reports.
pub fn read(paths: &[impl AsRef<Path>]) -> Vec<RuleFile> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if path.is_dir() {
            read_directory(path, &mut files);
        } else {
            read_file(path, &mut files);
        }
    }
    files
}

/// The `.yaml` and `.yml` files of a directory, sorted by path, without those of its directories.
fn read_directory(path: &Path, files: &mut Vec<RuleFile>) {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            files.push(RuleFile::unreadable(path.display().to_string(), error.to_string()));
            return;
        }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            Err(error) => files.push(RuleFile::unreadable(path.display().to_string(), error.to_string())),
        }
    }
    paths.retain(|path| is_yaml(path) && !path.is_dir());
    paths.sort();
    if paths.is_empty() {
        files.push(RuleFile::nothing(path.display().to_string()));
    }
    for path in &paths {
        read_file(path, files);
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read_file(path: &Path, files: &mut Vec<RuleFile>) {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    let limit = MAX_FILE_SIZE as u64 + 1;
    match std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => files.extend(unpack(RuleFile::new(name, bytes))),
        Err(error) => files.push(RuleFile::unreadable(name, error.to_string())),
    }
}

/// The rule files in a file: those in a Helm values file or in manifests, sorted by key, else the file itself.
pub fn unpack(file: RuleFile) -> Vec<RuleFile> {
    if is_one_list(&file.bytes) {
        return vec![file];
    }
    let Ok(parsed) = yaml::parse(FileId(0), &file.bytes) else { return vec![file] };
    let documents: Vec<&Node> = parsed.documents.iter().map(|document| &**document).collect();
    if !documents.iter().any(|document| document.mapping().is_some()) {
        return vec![file];
    }
    let mut found = Vec::new();
    let mut is_outer = false;
    for document in documents {
        is_outer |= find(document, &mut found);
    }
    if !is_outer {
        return vec![file];
    }
    if found.is_empty() {
        return vec![RuleFile::nothing(file.name)];
    }
    let Ok(text) = String::from_utf8(file.bytes) else { return Vec::new() };
    let text: Arc<str> = Arc::from(text);
    found.iter().map(|(key, content)| embedded(&file.name, &text, key, content)).collect()
}

/// Whether a file is a single document that is a list, as rule files are and the others are not, at a glance: parsing is half
/// of the work of loading. False where that takes a closer look.
fn is_one_list(bytes: &[u8]) -> bool {
    let begins = |line: &[u8], mark: &[u8]| line.starts_with(mark);
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.by_ref().find(|line| !line.trim_ascii().is_empty() && !begins(line, b"#"));
    first.is_some_and(|line| begins(line, b"- ")) && !lines.any(|line| begins(line, b"---") || begins(line, b"..."))
}

/// Collects embedded rule files of a document. False when it is of no kind that has them.
fn find(document: &Node, found: &mut Vec<(String, Arc<Scalar>)>) -> bool {
    let text = |key: &str| document.get(key).and_then(|value| value.scalar()).map(|value| &*value.value);
    if text("kind") == Some("List")
        && let Some(items) = document.get("items").and_then(|items| items.sequence())
    {
        let mut any = false;
        for item in items {
            any |= find(item, found);
        }
        return any;
    }
    if text("kind") == Some("ConfigMap") {
        if let Some(data) = document.get("data") {
            add(data, |key| is_yaml(Path::new(key)), found);
        }
        return true;
    }
    // The chart itself, or a chart that has it as a dependency under some name.
    let charts = document.mapping().unwrap_or_default().iter().map(|(_, chart)| &**chart);
    let mut any = false;
    for rules in std::iter::once(document).chain(charts).filter_map(|chart| chart.get("customRules")) {
        add(rules, |_| true, found);
        any = true;
    }
    any
}

/// Adds the texts of a mapping, sorted by key, which is the order in which they are mounted.
fn add(mapping: &Node, wanted: impl Fn(&str) -> bool, found: &mut Vec<(String, Arc<Scalar>)>) {
    let entries = mapping.mapping().unwrap_or_default().iter();
    let mut texts: Vec<_> = entries
        .filter_map(|(key, value)| Some((key.scalar()?.value.clone(), Arc::clone(value.scalar()?))))
        .filter(|(key, _)| wanted(key))
        .collect();
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    found.extend(texts);
}

fn embedded(outer: &str, text: &Arc<str>, key: &str, content: &Scalar) -> RuleFile {
    let start = content.span.start as usize;
    let raw = text.get(start..content.span.end as usize).unwrap_or("");
    let inner = content.map(raw);
    let mut map = TextMap::default();
    for (at, original) in inner.within(0, content.value.len()) {
        map.push(at, start + original);
    }
    RuleFile {
        name: format!("{outer}: {key}"),
        bytes: content.value.clone().into_bytes(),
        problem: None,
        embedded: Some(Embedded { name: outer.to_owned(), text: Arc::clone(text), map }),
        goes_on: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends at the first surprise
    use super::*;
    use crate::source::{FileSpan, Problem, Sources};

    const HELM: &str = "image: x\ncustomRules:\n  b.yaml: |-\n    - list: l\n      items: [a]\n  a.yaml: |\n    # nothing\n\
                        \n    - macro: m\n      condition: evt.num > 0\n";

    /// Line and column in the outer file of a text in the inner one.
    fn place(file: &RuleFile, needle: &str) -> (usize, usize, String) {
        let mut sources = Sources::default();
        let id = sources.add(file);
        let at = std::str::from_utf8(&file.bytes).unwrap().find(needle).unwrap();
        let place = sources.locate(FileSpan::new(id, at, at + needle.len())).unwrap();
        assert_eq!(&place.text[place.start..place.end], needle);
        (place.position.line, place.position.column, place.name.to_owned())
    }

    #[test]
    fn helm_values_are_unpacked_by_key_with_places_outside() {
        let files = unpack(RuleFile::new("values.yaml", HELM));
        let names: Vec<_> = files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["values.yaml: a.yaml", "values.yaml: b.yaml"]);
        assert_eq!(place(&files[1], "items"), (5, 7, "values.yaml".to_owned()));
        assert_eq!(place(&files[0], "evt.num > 0"), (10, 18, "values.yaml".to_owned()));
        let nested = format!("falco:\n  {}", HELM.replace('\n', "\n  "));
        assert_eq!(unpack(RuleFile::new("v", nested)).len(), 2);
    }

    #[test]
    fn manifests_are_unpacked_and_other_files_are_not() {
        let manifest = "apiVersion: v1\nkind: ConfigMap\ndata:\n  x.yaml: |\n    - list: l\n      items: []\n  other: y\n\
                        ---\nkind: Service\n---\nkind: List\nitems:\n- kind: ConfigMap\n  data: {z.yml: '[]'}\n";
        let files = unpack(RuleFile::new("cm.yaml", manifest));
        assert_eq!(files.len(), 2);
        assert_eq!(place(&files[0], "items").0, 6);
        for plain in ["- rule: x\n", "rule: x\n", "kind: Service\n", "a: [\n", ""] {
            let files = unpack(RuleFile::new("r.yaml", plain));
            assert_eq!(files.len(), 1, "{plain}");
            assert!(files[0].embedded.is_none());
        }
    }

    #[test]
    fn a_list_is_seen_without_parsing() {
        for list in ["- rule: x\n", "# by us\n\n  \n- macro: m\n  condition: ---\n", "- a: 1\n- b: |\n    ---\n"] {
            assert!(is_one_list(list.as_bytes()), "{list}");
        }
        for other in
            ["", "# nothing\n", "a: 1\n", "---\n- a: 1\n", "- a: 1\n---\nkind: List\n", "- a: 1\n...\nb: 2\n", "-1\n"]
        {
            assert!(!is_one_list(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_in_its_place() {
        let files = read(&["/nonexistent/rules.yaml"]);
        assert!(matches!(files[0].problem, Some(Problem::Unreadable(_))));
    }
}
