//! Coverage laid over the rule files: runs of text, each with the innermost piece that it belongs to.

use casebook_rules::source::{FileId, Sources};

use super::{Coverage, PieceKind, PieceSeen};

/// A run of text of one file.
#[derive(Clone, Copy, Debug)]
pub struct Run<'c> {
    /// The text.
    pub text: &'c str,
    /// The piece it belongs to.
    pub piece: Option<&'c PieceSeen>,
}

/// The text of a file in runs. Pieces may lie in each other; the innermost counts. Macros as wholes are left out where
/// their name is all there is to colour: it has the colour of the macro.
pub fn runs<'c>(coverage: &'c Coverage, file: FileId, sources: &'c Sources) -> Vec<Run<'c>> {
    let text = sources.text(file);
    let mut pieces: Vec<&PieceSeen> = coverage
        .pieces
        .iter()
        .filter(|piece| piece.span.file == file && piece.kind != PieceKind::Exception)
        .filter(|piece| {
            text.get(piece.span.start as usize..piece.span.end as usize).is_some_and(|text| !text.is_empty())
        })
        .collect();
    // Long before short: what comes later lies on top. Of two for the same text the more particular is on top.
    pieces.sort_by_key(|piece| (std::cmp::Reverse(piece.span.end - piece.span.start), piece.kind));
    let mut top: Vec<u32> = vec![0; text.len()];
    for (number, piece) in (1..).zip(&pieces) {
        if let Some(bytes) = top.get_mut(piece.span.start as usize..piece.span.end as usize) {
            bytes.fill(number);
        }
    }
    let mut runs = Vec::new();
    let mut from = 0;
    for bytes in top.chunk_by(|a, b| a == b) {
        let to = from + bytes.len();
        if let (Some(text), Some(&number)) = (text.get(from..to), bytes.first()) {
            let piece = (number as usize).checked_sub(1).and_then(|at| pieces.get(at)).copied();
            runs.push(Run { text, piece });
        }
        from = to;
    }
    runs
}
