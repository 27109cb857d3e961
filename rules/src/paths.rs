//! The set of paths on the right of `pmatch`: a tree by path components.
//!
//! A path is in when some member is a prefix of it by whole components. Empty components do not count, so `/srv/` and
//! `srv` are one member and `/` has no component at all and is a prefix of everything. A component with `*`, `?` or
//! `[` is a shell pattern for exactly one component.

use std::collections::HashMap;

use crate::glob::Glob;

/// A tree of path prefixes.
#[derive(Clone, Default, Debug)]
pub(crate) struct Paths {
    /// A member ends here.
    end: bool,
    names: HashMap<Box<[u8]>, Paths, foldhash::fast::RandomState>,
    patterns: Vec<(Glob, Paths)>,
}

impl Paths {
    /// The tree of these members.
    pub(crate) fn new<'p>(paths: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for component in components(path) {
                node = if component.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
                    node.patterns.push((Glob::new(component, false), Self::default()));
                    let last = node.patterns.len() - 1;
                    &mut node.patterns[last].1
                } else {
                    node.names.entry(component.into()).or_default()
                };
            }
            node.end = true;
        }
        root
    }

    /// Whether a member is a prefix of `path`.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.walk(components(path))
    }

    /// As deep as the members, which are at most as long as a constant may be.
    fn walk<'p>(&self, mut rest: impl Iterator<Item = &'p [u8]> + Clone) -> bool {
        if self.end {
            return true;
        }
        let Some(component) = rest.next() else { return false };
        self.names.get(component).is_some_and(|node| node.walk(rest.clone()))
            || self.patterns.iter().any(|(glob, node)| glob.matches(component) && node.walk(rest.clone()))
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
}

#[cfg(test)]
mod tests {
    use super::Paths;

    #[test]
    fn prefixes_by_component() {
        let paths = Paths::new([&b"/srv/"[..], b"opt", b"/usr/*/bin", b"//var//log", b"/home/?/x"]);
        for yes in ["/srv", "/srv/a", "srv", "/opt/x/y", "/usr/local/bin/z", "/var/log", "/home/a/x"] {
            assert!(paths.matches(yes.as_bytes()), "{yes}");
        }
        for no in ["", "/", "/srvx", "/usr/bin", "/usr/local", "/var", "/home/ab/x"] {
            assert!(!paths.matches(no.as_bytes()), "{no}");
        }
        assert!(Paths::new([&b"/"[..]]).matches(b"anything"));
        assert!(!Paths::new([]).matches(b"anything"));
    }

    #[test]
    fn a_name_that_fails_leaves_the_patterns_their_chance() {
        let paths = Paths::new([&b"/a/b"[..], b"/*/c"]);
        assert!(paths.matches(b"/a/c"));
    }
}
