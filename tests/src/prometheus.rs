//! A Prometheus of our own for tests: started on a folder of blocks, asked by its HTTP API, ended with its handle.
//!
//! Debian's `prometheus` and `promtool` (`.ci/install`); without them [`available`] says so, and the tests that ask skip.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Time that a Prometheus on a busy machine may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// Whether both programs are here; else what to say.
///
/// # Errors
/// The sentence.
pub fn available() -> Result<(), String> {
    for program in ["promtool", "prometheus"] {
        let ran = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !ran.is_ok_and(|status| status.success()) {
            return Err(format!("skipped: {program} is not installed (.ci/install)"));
        }
    }
    Ok(())
}

/// Runs `promtool`, with `input` as its standard input. Gives whether it is content, and what it says.
///
/// # Errors
/// When it cannot be run.
pub fn promtool(args: &[&str], input: &[u8]) -> io::Result<(bool, String)> {
    let mut child = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may be content before it has read all.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Starts one on a folder of blocks that `promtool` made.
    ///
    /// # Errors
    /// When it does not start, or does not get ready.
    pub fn start(data: &Path) -> io::Result<Self> {
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("prometheus")
            .arg("--config.file=/dev/null")
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let this = Self { child, port };
        let begin = Instant::now();
        while !this.get("/-/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.0 200")) {
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("prometheus does not get ready"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(this)
    }

    /// The answer to an instant query at a time in seconds: series with their values, as the API gives them.
    ///
    /// # Errors
    /// When the query is not understood.
    pub fn instant(&self, query: &str, at: f64) -> io::Result<Vec<Json>> {
        self.api(&format!("/api/v1/query?query={}&time={at}", encoded(query)))
    }

    /// The answer to a query over a time.
    ///
    /// # Errors
    /// When the query is not understood.
    pub fn range(&self, query: &str, (from, to): (f64, f64), step: f64) -> io::Result<Vec<Json>> {
        self.api(&format!("/api/v1/query_range?query={}&start={from}&end={to}&step={step}", encoded(query)))
    }

    /// The values of a label.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn label_values(&self, label: &str, series: &str, (from, to): (f64, f64)) -> io::Result<Vec<Json>> {
        let path = format!("/api/v1/label/{label}/values?match[]={}&start={from}&end={to}", encoded(series));
        self.api(&path)
    }

    fn api(&self, path: &str) -> io::Result<Vec<Json>> {
        let answer = self.get(path)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Json = serde_json::from_str(body)?;
        if body["status"] != "success" {
            return Err(io::Error::other(body.to_string()));
        }
        let data = &body["data"];
        Ok(data.as_array().or(data["result"].as_array()).cloned().unwrap_or_default())
    }

    fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It is ours; what it keeps lies in a temporary folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text as part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() {
            url.push(byte as char);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}
