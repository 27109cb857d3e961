//! Parameters in the query of a request's URI.

/// First value of a parameter of a URI, percent-decoded. A query with anything malformed in it has no parameters, as Falco's
/// plugin sees it.
pub(super) fn parameter(uri: &str, name: &str) -> Option<Vec<u8>> {
    let pairs: Option<Vec<_>> = pairs(uri).collect();
    pairs?.into_iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value)
}

/// All values of a parameter of a URI, percent-decoded; what is not UTF-8 in them becomes U+FFFD. Malformed pairs are passed
/// over, as the API server does.
pub(crate) fn parameters(uri: &str, name: &str) -> Vec<String> {
    let values = pairs(uri).flatten().filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
    values.map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
}

/// Names and values in the query of a URI, percent-decoded; `None` for what is malformed.
fn pairs(uri: &str) -> impl Iterator<Item = Option<(Vec<u8>, Vec<u8>)>> {
    let query = uri.split_once('#').map_or(uri, |(before, _)| before).split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if pair.contains(';') { None } else { decoded(name).zip(decoded(value)) }
    })
}

/// Undoes percent-encoding, with `+` for a blank.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            out.push((digit(at + 1)? << 4 | digit(at + 2)?) as u8);
            at += 3;
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    Some(out)
}
