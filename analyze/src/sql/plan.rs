//! The order of rows where a query leaves it open.
//!
//! Groups, distinct rows and joins come in whatever order threads and hashes give. Every step of a query's plan is told to
//! keep the order of its input instead, which goes back to the order of the captures: the same question has the same
//! answer to the byte, also for ties under a `LIMIT`.

use std::sync::Arc;

use polars::prelude::{DslPlan, LazyFrame, MaintainOrderJoin};

/// The same query with an order.
pub(super) fn in_order(frame: LazyFrame) -> LazyFrame {
    LazyFrame::from(ordered(frame.logical_plan))
}

fn below(plan: Arc<DslPlan>) -> Arc<DslPlan> {
    Arc::new(ordered(Arc::unwrap_or_clone(plan)))
}

/// Depth is bounded by that of the query, which [`super::check`] limits.
fn ordered(plan: DslPlan) -> DslPlan {
    match plan {
        DslPlan::GroupBy { input, keys, predicates, aggs, options, apply, .. } => {
            DslPlan::GroupBy { input: below(input), keys, predicates, aggs, maintain_order: true, options, apply }
        }
        DslPlan::Distinct { input, mut options } => {
            options.maintain_order = true;
            DslPlan::Distinct { input: below(input), options }
        }
        DslPlan::Sort { input, by_column, slice, mut sort_options } => {
            sort_options.maintain_order = true;
            DslPlan::Sort { input: below(input), by_column, slice, sort_options }
        }
        DslPlan::Join { input_left, input_right, left_on, right_on, predicates, options } => {
            let mut options = Arc::unwrap_or_clone(options);
            options.args.maintain_order = MaintainOrderJoin::LeftRight;
            let (input_left, input_right) = (below(input_left), below(input_right));
            DslPlan::Join { input_left, input_right, left_on, right_on, predicates, options: Arc::new(options) }
        }
        DslPlan::Filter { input, predicate } => DslPlan::Filter { input: below(input), predicate },
        DslPlan::Select { expr, input, options } => DslPlan::Select { expr, input: below(input), options },
        DslPlan::HStack { input, exprs, options } => DslPlan::HStack { input: below(input), exprs, options },
        DslPlan::Slice { input, offset, len } => DslPlan::Slice { input: below(input), offset, len },
        DslPlan::MapFunction { input, function } => DslPlan::MapFunction { input: below(input), function },
        DslPlan::Union { inputs, args } => DslPlan::Union { inputs: inputs.into_iter().map(ordered).collect(), args },
        DslPlan::HConcat { inputs, options } => {
            DslPlan::HConcat { inputs: inputs.into_iter().map(ordered).collect(), options }
        }
        // A plan whose columns were asked for on the way keeps what it was made from.
        DslPlan::IR { dsl, .. } => ordered(Arc::unwrap_or_clone(dsl)),
        DslPlan::Cache { input, id } => DslPlan::Cache { input: below(input), id },
        other => other,
    }
}
