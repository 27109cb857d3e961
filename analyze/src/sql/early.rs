//! Rows of `events` that a question drops anyway, dropped while the capture is read.
//!
//! A question about few of many events (`WHERE type = 'ptrace'`) needs no memory for the others. The condition is taken
//! from the query's plan, and only from plans that plainly say it: one `SELECT` over `events` alone, with a `WHERE` that
//! looks at each row by itself. The query asks it again; a condition that is not taken costs memory and changes nothing.

use polars::prelude::{AggExpr, BooleanFunction, DslPlan, Expr, FunctionExpr};

/// Columns whose values are put in after a chunk was made.
const LATE: [&str; 4] = ["capture", "host", "upid", "parent_upid"];

/// The condition on rows of the only table of a plan.
pub(super) fn condition(plan: &DslPlan) -> Option<Expr> {
    match plan {
        DslPlan::Filter { input, .. } => filtered(plan).or_else(|| condition(input)),
        DslPlan::Select { input, .. }
        | DslPlan::GroupBy { input, .. }
        | DslPlan::Sort { input, .. }
        | DslPlan::Slice { input, .. }
        | DslPlan::Distinct { input, .. }
        | DslPlan::HStack { input, .. }
        | DslPlan::MapFunction { input, .. } => condition(input),
        DslPlan::IR { dsl, .. } => condition(dsl),
        _ => None,
    }
}

/// The condition of filters that stand directly on the table.
fn filtered(plan: &DslPlan) -> Option<Expr> {
    let DslPlan::Filter { input, predicate } = without_ir(plan) else { return None };
    if !by_row(predicate) {
        return None;
    }
    if is_table(input) { Some(predicate.clone()) } else { Some(filtered(input)?.and(predicate.clone())) }
}

/// A table as it was registered: a frame, its categories made text.
fn is_table(plan: &DslPlan) -> bool {
    match without_ir(plan) {
        DslPlan::HStack { input, .. } => matches!(without_ir(input), DslPlan::DataFrameScan { .. }),
        other => matches!(other, DslPlan::DataFrameScan { .. }),
    }
}

fn without_ir(plan: &DslPlan) -> &DslPlan {
    match plan {
        DslPlan::IR { dsl, .. } => without_ir(dsl),
        other => other,
    }
}

/// Whether an expression looks at one row at a time, and at nothing that comes later. What is not known does not.
fn by_row(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => true,
        Expr::Column(name) => !LATE.contains(&name.as_str()),
        Expr::Alias(expr, _) | Expr::Cast { expr, .. } => by_row(expr),
        // The list of `IN (…)`.
        Expr::Agg(AggExpr::Implode { input, .. }) => matches!(input.as_ref(), Expr::Literal(_)),
        Expr::BinaryExpr { left, right, .. } => by_row(left) && by_row(right),
        Expr::Ternary { predicate, truthy, falsy } => by_row(predicate) && by_row(truthy) && by_row(falsy),
        Expr::Function { input, function } => {
            let known = match function {
                FunctionExpr::StringExpr(_) | FunctionExpr::TemporalExpr(_) => true,
                FunctionExpr::Boolean(function) => matches!(
                    function,
                    BooleanFunction::Not
                        | BooleanFunction::IsNull
                        | BooleanFunction::IsNotNull
                        | BooleanFunction::IsIn { .. }
                ),
                _ => false,
            };
            known && input.iter().all(by_row)
        }
        _ => false,
    }
}
