//! The page in headless Chromium: it sorts, zooms, expands, asks nothing of any network and runs nothing but its own
//! script.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::webdriver::Browser;
use super::{hostile, path, report};

/// A browser, or the line that says why there is none.
fn browser() -> Option<Browser> {
    Browser::start().map_err(|error| println!("skipped: no browser here ({error}); .ci/install gets one")).ok()
}

/// Opens a page and checks what holds for every one: nothing was asked for but the page, and nothing was refused.
fn opened(page: &Path) -> Option<Browser> {
    let browser = browser()?;
    browser.resize(1440, 1000);
    browser.open(page);
    assert_eq!(browser.run("return document.readyState"), "complete");
    let own = format!("file://{}", page.display());
    // A browser asks for the empty icon that the page names; that leads nowhere.
    let others: Vec<String> = browser.requests().into_iter().filter(|url| *url != own && url != "data:,").collect();
    assert_eq!(others, [] as [String; 0], "requests of the page");
    assert_eq!(browser.console(), [] as [String; 0], "errors and refusals");
    Some(browser)
}

/// What stands in a column of a table, row by row, as far as it is shown.
fn column(browser: &Browser, table: &str, at: usize) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll('#{table}-table tbody tr:not(.hidden)')].map(r => r.cells[{at}].textContent)"
    );
    let shown = browser.run(&script);
    shown.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

/// Number of a column by its heading.
fn heading(browser: &Browser, table: &str, name: &str) -> usize {
    let script = format!(
        "return [...document.querySelectorAll('#{table}-table th')].findIndex(h => h.textContent === '{name}')"
    );
    usize::try_from(browser.run(&script).as_i64().unwrap()).unwrap_or_else(|_| panic!("{table} has no column {name}"))
}

/// The numbers of a column of texts such as `1,234`.
fn numbers(texts: &[String]) -> Vec<u64> {
    texts.iter().map(|text| text.replace(',', "").parse().unwrap()).collect()
}

/// The part of the axis that the timeline shows.
fn range(browser: &Browser) -> (f64, f64) {
    let range = browser.run("const d = document.querySelector('.plot').dataset; return [Number(d.from), Number(d.to)]");
    (range[0].as_f64().unwrap(), range[1].as_f64().unwrap())
}

fn sorts(browser: &Browser) {
    let at = heading(browser, "files", "Opens");
    let button = format!("#files-table th:nth-child({}) button", at + 1);
    browser.click(&button);
    let down = numbers(&column(browser, "files", at));
    assert!(down.len() > 5 && down.is_sorted_by(|a, b| a >= b), "{down:?}");
    browser.click(&button);
    let up = numbers(&column(browser, "files", at));
    assert!(up.is_sorted() && up != down, "{up:?}");
    let sorted = browser.run("return document.querySelector('#files-table th[aria-sort]').ariaSort");
    assert_eq!(sorted, "ascending");
    browser.click("#files-table th:first-child button");
    assert!(column(browser, "files", 0).is_sorted(), "{:?}", column(browser, "files", 0));
}

fn searches(browser: &Browser) {
    let all = column(browser, "files", 0).len();
    browser.type_into("#files-table input", "/ETC/");
    let found = column(browser, "files", 0);
    assert!(!found.is_empty() && found.len() < all.max(found.len() + 1), "{found:?}");
    let texts = browser.run(
        "return [...document.querySelectorAll('#files-table tbody tr:not(.hidden)')].map(r => r.textContent.toLowerCase())",
    );
    assert!(texts.as_array().unwrap().iter().all(|text| text.as_str().unwrap().contains("/etc/")), "{texts}");
}

fn zooms(browser: &Browser) {
    let whole = range(browser);
    let drawn = "return document.querySelector('.plot .drawn').innerHTML";
    let before = browser.run(drawn);
    browser.click("[data-zoom=in]");
    let half = range(browser);
    assert!((half.1 - half.0) * 2.0 - (whole.1 - whole.0) < 2.0, "{whole:?} {half:?}");
    assert_ne!(browser.run(drawn), before);
    browser.click("[data-zoom=all]");
    assert_eq!(range(browser), whole);
    // A drag over the middle half of the plot.
    let place = browser.run(
        "const p = document.querySelector('.plot'); p.scrollIntoView({block: 'center'}); \
         const b = p.getBoundingClientRect(); return [b.left, b.top, b.width, b.height].map(Math.round)",
    );
    let at = |n: usize| place[n].as_i64().unwrap();
    let (from, to, y) = (at(0) + at(2) / 2, at(0) + at(2) * 3 / 4, at(1) + at(3) / 2);
    browser.act(&json!([{ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": [
        { "type": "pointerMove", "duration": 0, "x": from, "y": y },
        { "type": "pointerDown", "button": 0 },
        { "type": "pointerMove", "duration": 50, "x": to, "y": y },
        { "type": "pointerUp", "button": 0 },
    ]}]));
    let dragged = range(browser);
    assert!(dragged.0 > whole.0 && dragged.1 < whole.1, "{whole:?} {dragged:?}");
    // Keys, once the chart has the focus, which the drag gave it or not.
    browser.run("document.querySelector('.plot').focus()");
    browser.type_into(".plot", "0");
    assert_eq!(range(browser), whole);
    browser.type_into(".plot", "+");
    assert!(range(browser).1 - range(browser).0 < whole.1 - whole.0);
    // The wheel, which belongs to the chart only while it has the focus.
    let zoomed = range(browser);
    browser.act(&json!([{ "type": "wheel", "id": "wheel", "actions": [
        { "type": "scroll", "duration": 0, "x": from, "y": y, "deltaX": 0, "deltaY": 120 },
    ]}]));
    assert!(range(browser).1 - range(browser).0 > zoomed.1 - zoomed.0, "{zoomed:?} {:?}", range(browser));
    browser.click("[data-zoom=all]");
}

fn expands(browser: &Browser) {
    let open = "return document.querySelectorAll('.forest details[open]').length";
    browser.click("[data-trees=close]");
    assert_eq!(browser.run(open), 0);
    let hidden = "return document.querySelector('.forest .below .node').checkVisibility()";
    assert_eq!(browser.run(hidden), false);
    browser.click(".forest details summary");
    assert_eq!((browser.run(open), browser.run(hidden)), (json!(1), json!(true)));
    // An alert leads to its process, wherever that is hidden.
    browser.click("[data-trees=close]");
    browser.click("#alerts-table tbody a");
    let there = "const t = document.querySelector(':target'); return t ? t.checkVisibility() : null";
    assert_eq!(browser.run(there), true);
}

/// Pictures for whoever judges the looks: both widths, dark, and paper.
fn pictures(browser: &Browser, name: &str) {
    if std::env::var_os("CASEBOOK_SCREENSHOTS").is_none() {
        return;
    }
    for width in [1440, 800] {
        browser.resize(width, 1600);
        for section in ["summary", "timeline", "attack", "processes", "network", "rules"] {
            browser.run(&format!("document.getElementById('{section}').scrollIntoView()"));
            browser.picture(&format!("{name}-{width}-{section}.png"));
        }
    }
    browser.paper(&format!("{name}.pdf"));
    browser.resize(1440, 1000);
}

/// No wider than its window: nobody scrolls to the side to read.
fn fits(browser: &Browser) {
    for width in [1440, 800] {
        browser.resize(width, 1000);
        let widths = browser.run("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]");
        assert!(widths[0].as_f64() <= widths[1].as_f64(), "at {width}: {widths}");
    }
}

#[test]
fn the_largest_capture_opens_sorts_zooms_and_expands() {
    let Some(corpora) = std::env::var_os("CASEBOOK_CORPORA").map(PathBuf::from) else {
        println!("skipped: CASEBOOK_CORPORA names no folder of captures");
        return;
    };
    let captures = std::fs::read_dir(corpora.join("captures")).unwrap();
    let files = captures.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).map(Result::unwrap);
    let largest = files.max_by_key(|file| file.metadata().unwrap().len()).unwrap().path();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let rules = corpora.join("probe-rules");
    report(&["-q", "-r", path(&rules), path(&largest), "-o", path(&page)]);
    let Some(browser) = opened(&page) else { return };
    sorts(&browser);
    searches(&browser);
    zooms(&browser);
    expands(&browser);
    fits(&browser);
    pictures(&browser, "largest");
    assert_eq!(browser.console(), [] as [String; 0]);
}

#[test]
fn nothing_that_a_capture_says_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, rules) = hostile::files(folder.path());
    let page = folder.path().join("report.html");
    let title = format!("{}{}", hostile::SCRIPTS[1], hostile::ESCAPES);
    let args = ["-q", "--title", &title, "--case", hostile::SCRIPTS[2], "-r", path(&rules), path(&capture)];
    report(&[&args[..], &["-o", path(&page)]].concat());
    let Some(browser) = opened(&page) else { return };
    // Everything is unfolded and pointed at once.
    browser.click("[data-trees=open]");
    browser.run(
        "for (const b of document.querySelectorAll('.more button, th button')) b.click(); \
         for (const e of document.querySelectorAll('main *')) e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))",
    );
    zooms(&browser);
    assert_eq!(browser.run("return typeof window.pwned"), "undefined");
    assert_eq!(browser.run("return document.scripts.length"), 2);
    let foreign =
        "return document.querySelectorAll('main img, iframe, object, embed, form, main link, [onmouseover]').length";
    assert_eq!(browser.run(foreign), 0);
    let shown = browser.run("return document.querySelector('h1').textContent");
    assert!(shown.as_str().unwrap().starts_with("</script><script>window.pwned=2</script>\\x1b[31mred"), "{shown}");
    fits(&browser);
    pictures(&browser, "hostile");
    assert_eq!(browser.console(), [] as [String; 0]);
    let asked: Vec<String> = browser.requests();
    assert!(asked.iter().all(|url| url.starts_with("file:") || url == "data:,"), "{asked:?}");
}

#[test]
fn without_scripts_everything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    report(&["--example", "-o", path(&page)]);
    // The same page with a script that its policy does not name.
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, after) = text.rsplit_once("<script>").unwrap();
    std::fs::write(&page, format!("{before}<script>// {after}")).unwrap();
    let Some(browser) = browser() else { return };
    browser.resize(1440, 1000);
    browser.open(&page);
    let hidden =
        browser.run("return [...document.querySelectorAll('main table tr')].filter(r => !r.checkVisibility()).length");
    assert_eq!(hidden, 0);
    let drawn: Json = browser.run("return document.querySelectorAll('.plot .drawn path').length");
    assert!(drawn.as_u64().unwrap() > 8, "{drawn}");
    assert_eq!(browser.run("return document.querySelector('.timeline .tools').checkVisibility()"), false);
}
