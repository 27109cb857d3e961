//! Names of fields to numbers of the schema, with "did you mean".

use crate::ast::Field;
use crate::compile::{CompileError, CompileErrorKind};
use crate::print;
use crate::schema::{ArgText, BindError, FieldArg, FieldDef, FieldRef, Multiplicity, Schema};
use crate::suggest;

/// A field found.
#[derive(Clone, Debug)]
pub(crate) struct Bound<'s> {
    pub(crate) field: FieldRef,
    pub(crate) def: &'s FieldDef,
}

impl Bound<'_> {
    /// How many values comparisons look at: with an index, ancestor fields have one.
    pub(crate) fn multiplicity(&self) -> Multiplicity {
        match (self.def.multiplicity, &self.field.arg) {
            (Multiplicity::Ancestors, FieldArg::Index(_)) => Multiplicity::One,
            (multiplicity, _) => multiplicity,
        }
    }
}

/// Finds a field for a source. Of a name like `evt.arg.flags` the last parts may be the argument.
pub(crate) fn bind<'s>(schema: &'s dyn Schema, source: &str, field: &Field) -> Result<Bound<'s>, CompileError> {
    let bracketed = field.arg.as_ref().map(crate::ast::Constant::text);
    match find(schema, source, field, bracketed.as_deref()) {
        Some((id, def, arg)) => finish(schema, source, field, id, def, arg),
        None => Err(unknown(schema, source, field)),
    }
}

/// Whether a source has a field, without the search for what else could be meant.
pub(crate) fn is_known(schema: &dyn Schema, source: &str, field: &Field) -> bool {
    let bracketed = field.arg.as_ref().map(crate::ast::Constant::text);
    let found = find(schema, source, field, bracketed.as_deref());
    found.is_some_and(|(id, _, arg)| schema.bind(source, id, arg).is_ok())
}

/// The field of the longest name, and what is left of the name as argument.
fn find<'s, 'f>(
    schema: &'s dyn Schema,
    source: &str,
    field: &'f Field,
    bracketed: Option<&'f str>,
) -> Option<(u16, &'s FieldDef, ArgText<'f>)> {
    if let Some((id, def)) = schema.field(source, &field.name) {
        return Some((id, def, bracketed.map_or(ArgText::None, ArgText::Bracketed)));
    }
    if field.arg.is_some() {
        return None;
    }
    let mut dots = field.name.rmatch_indices('.').map(|(at, _)| at);
    dots.find_map(|dot| {
        let (id, def) = schema.field(source, &field.name[..dot])?;
        def.arg.dotted.then_some((id, def, ArgText::Dotted(&field.name[dot + 1..])))
    })
}

fn finish<'s>(
    schema: &'s dyn Schema,
    source: &str,
    field: &Field,
    id: u16,
    def: &'s FieldDef,
    arg: ArgText<'_>,
) -> Result<Bound<'s>, CompileError> {
    match schema.bind(source, id, arg) {
        Ok(field) => Ok(Bound { field, def }),
        Err(error) => {
            let shown = print::field(field);
            let kind = match error {
                BindError::Unknown => CompileErrorKind::UnknownField,
                BindError::Argument(_) => CompileErrorKind::BadArgument,
            };
            let hint = match (arg, def.arg.required) {
                (ArgText::None, _) => Some(format!("`{}` needs an argument: {}", def.name, forms(def))),
                _ if def.arg == crate::schema::ArgSpec::NONE => Some(format!("`{}` takes no argument", def.name)),
                _ => Some(format!("the argument of `{}` is {}", def.name, forms(def))),
            };
            let message = match error {
                BindError::Unknown => format!("there is no field `{shown}`"),
                BindError::Argument(why) => format!("`{shown}`: {why}"),
            };
            Err(CompileError { span: field.span, kind, message, hint })
        }
    }
}

/// The argument forms of a field, for people.
fn forms(def: &FieldDef) -> String {
    let forms = [(def.arg.index, "`[number]`"), (def.arg.key, "`[text]`"), (def.arg.dotted, "`.NAME`")];
    forms.iter().filter(|(takes, _)| *takes).map(|(_, form)| *form).collect::<Vec<_>>().join(" or ")
}

fn unknown(schema: &dyn Schema, source: &str, field: &Field) -> CompileError {
    let names = schema.fields(source).map(|(_, def)| def.name);
    let elsewhere = || {
        let mut sources = schema.sources().into_iter();
        let other = sources.find(|other| *other != source && schema.field(other, &field.name).is_some())?;
        Some(format!("the source `{other}` has this field"))
    };
    let hint = suggest::closest(&field.name, names).map(|name| format!("did you mean `{name}`?")).or_else(elsewhere);
    CompileError {
        span: field.span,
        kind: CompileErrorKind::UnknownField,
        message: format!("there is no field `{}` for the source `{source}`", field.name),
        hint,
    }
}
