//! Who replays or records does not wait for the data frame library: neither package depends on it, on Parquet or on Arrow.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::process::Command;

/// Packages that only `casebook-analyze` may bring in.
const HEAVY: [&str; 3] = ["polars", "parquet", "arrow"];

#[test]
fn only_analysis_compiles_data_frames() {
    let tree = |package: &str| {
        let cargo = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--locked",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--package",
                package,
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
        String::from_utf8(cargo.stdout).unwrap()
    };
    let heavy = |tree: &str| -> Vec<String> {
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        names.filter(|name| HEAVY.iter().any(|heavy| name.starts_with(heavy))).map(str::to_owned).collect()
    };
    for package in ["casebook-formats", "casebook-rules", "casebook-fixtures", "casebook-replay", "casebook-capture"] {
        assert_eq!(heavy(&tree(package)), [""; 0], "{package}");
    }
    let analysis = tree("casebook-analyze");
    assert!(!heavy(&analysis).is_empty(), "the names in the table above are no longer right");
    // It promises to work offline: nothing in it can speak TLS, and what data frames bring along no HTTP.
    let network = ["hyper", "reqwest", "rustls", "openssl", "native-tls", "object_store"];
    let lines = analysis.lines().filter_map(|line| line.split(' ').next());
    let found: Vec<&str> = lines.filter(|name| network.contains(name)).collect();
    assert_eq!(found, [""; 0], "casebook-analyze");
}
