//! A browser for tests: chromedriver, spoken to in its own protocol (`WebDriver`, JSON over HTTP on the loopback).
//!
//! Nothing but the standard library and `serde_json`: one request a connection, answers of known length.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};

/// How long the driver may think about one command.
const PATIENCE: Duration = Duration::from_mins(2);

/// A headless browser with one window; it ends with the value.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Gone with the browser.
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `Err` says why there is none here.
    pub(crate) fn start() -> Result<Self, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("chromedriver does not start: {error}"))?;
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe was asked for")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("on port ")?;
            port.trim_end_matches('.').parse().ok().filter(|port| *port != 0)
        });
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self { driver, port: port.unwrap_or(0), session: String::new(), profile };
        if port.is_none() {
            return Err("chromedriver names no port".to_owned());
        }
        let folder = format!("--user-data-dir={}", browser.profile.path().display());
        let options = json!({ "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            "--hide-scrollbars", folder,
        ]});
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        }}});
        let answer = browser.ask("POST", "/session", &wanted)?;
        answer["sessionId"].as_str().ok_or("a session without a name")?.clone_into(&mut browser.session);
        Ok(browser)
    }

    /// Opens a file.
    pub(crate) fn open(&self, page: &Path) {
        let url = format!("file://{}", page.display());
        self.say("url", &json!({ "url": url }));
    }

    /// Makes the window so large, inside.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.say("window/rect", &json!({ "width": width, "height": height }));
    }

    /// Runs a function's body in the page and gives what it returns.
    pub(crate) fn run(&self, script: &str) -> Json {
        self.say("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Clicks the first element that a selector finds, as a person would: it has to be visible.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.say(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into the first element that a selector finds.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.say(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Moves, presses and turns: actions of the protocol.
    pub(crate) fn act(&self, actions: &Json) {
        self.say("actions", &json!({ "actions": actions }));
    }

    fn element(&self, selector: &str) -> String {
        let found = self.say("element", &json!({ "using": "css selector", "value": selector }));
        let name = found.as_object().and_then(|found| found.values().next()?.as_str());
        name.unwrap_or_else(|| panic!("nothing is {selector}: {found}")).to_owned()
    }

    /// Everything that the page asked of any network or file, by address.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.say("se/log", &json!({ "type": "performance" }));
        let messages = log.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        messages
            .filter_map(|message| serde_json::from_str::<Json>(message).ok())
            .filter(|message| message["message"]["method"] == "Network.requestWillBeSent")
            // The browser's own first page, which it shows before the one that is tested.
            .filter(|message| {
                !message["message"]["params"]["documentURL"].as_str().unwrap_or_default().starts_with("chrome://")
            })
            .filter_map(|message| Some(message["message"]["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// What the page wrote to its console, refusals by the Content Security Policy among it.
    pub(crate) fn console(&self) -> Vec<String> {
        let log = self.say("se/log", &json!({ "type": "browser" }));
        log.as_array().into_iter().flatten().filter_map(|entry| Some(entry["message"].as_str()?.to_owned())).collect()
    }

    /// A picture of the window, where `CASEBOOK_SCREENSHOTS` names a folder for it.
    pub(crate) fn picture(&self, name: &str) {
        self.keep(name, &["screenshot"], None);
    }

    /// The page on paper as PDF, likewise.
    pub(crate) fn paper(&self, name: &str) {
        self.keep(name, &["print"], Some(&json!({})));
    }

    fn keep(&self, name: &str, path: &[&str], body: Option<&Json>) {
        use ct_codecs::Decoder as _;
        let Some(folder) = std::env::var_os("CASEBOOK_SCREENSHOTS") else { return };
        let path = format!("/session/{}/{}", self.session, path.join("/"));
        let answer = match body {
            None => self.ask("GET", &path, &Json::Null),
            Some(body) => self.ask("POST", &path, body),
        };
        let answer = answer.expect("a picture");
        let bytes = ct_codecs::Base64::decode_to_vec(answer.as_str().expect("base64"), None).expect("base64");
        std::fs::write(Path::new(&folder).join(name), bytes).expect("the picture can be written");
    }

    /// A command of the session.
    fn say(&self, command: &str, body: &Json) -> Json {
        let path = format!("/session/{}/{command}", self.session);
        self.ask("POST", &path, body).unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: &Json) -> Result<Json, String> {
        let fail = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(fail)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(fail)?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).map_err(fail)? == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|error| format!("{error}: {line}"))?;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).map_err(fail)?;
        let answer: Json = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Json::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
