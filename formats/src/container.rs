//! Container metadata of 2014 and 2015 in the form that all later captures have.

/// The JSON of today's container event, made from the four parameters of the oldest one (id, type, name, image).
/// libs leaves the outer key out, and then cannot read its own result; we write the form that all others have.
pub(crate) fn json(out: &mut Vec<u8>, params: [&[u8]; 4]) {
    let [id, kind, name, image] = params;
    let kind = kind.first_chunk().map_or(0xFFFF, |bytes| u32::from_le_bytes(*bytes));
    out.extend_from_slice(b"{\"container\":{\"id\":");
    json_text(out, id);
    out.extend_from_slice(format!(",\"type\":{kind},\"name\":").as_bytes());
    json_text(out, name);
    out.extend_from_slice(b",\"image\":");
    json_text(out, image);
    out.extend_from_slice(b"}}\0");
}

/// A text without its NUL as a JSON string; what is not UTF-8 becomes the replacement character.
fn json_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if (control as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
