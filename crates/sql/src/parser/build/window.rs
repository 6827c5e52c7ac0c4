//! Windows: OVER, WINDOW, frames.

use super::{Builder, Node, broken, child, children, has, syntax_error};
use crate::{
    ast::{Expr, Frame, FrameBound, FrameExclusion, FrameUnit, Ident, Over, WindowDefinition},
    error::{Error, Result, SqlState},
    parser::grammar::Rule,
};

impl Builder<'_> {
    /// An `over`.
    pub(super) fn over(&self, node: Node<'_>) -> Result<Over> {
        let inner = child(node, "OVER's window")?;
        match inner.as_rule() {
            Rule::name => Ok(Over::Name(self.ident(inner)?)),
            _ => Ok(Over::Window(Box::new(self.window_definition(inner)?))),
        }
    }

    /// A `window_clause`.
    pub(super) fn windows(&self, node: Node<'_>) -> Result<Vec<(Ident, WindowDefinition)>> {
        children(node)
            .map(|item| {
                let mut parts = children(item);
                let (Some(name), Some(definition)) = (parts.next(), parts.next()) else {
                    return Err(broken("a window's name"));
                };
                Ok((self.ident(name)?, self.window_definition(definition)?))
            })
            .collect()
    }

    fn window_definition(&self, node: Node<'_>) -> Result<WindowDefinition> {
        let mut window = WindowDefinition {
            base: None,
            partition_by: Vec::new(),
            order_by: Vec::new(),
            frame: None,
            span: self.span(&node),
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::window_base => {
                    window.base = Some(self.ident(child(part, "a window's name")?)?);
                }
                Rule::partition_by => window.partition_by = self.expressions(part)?,
                Rule::order_by => window.order_by = self.order_by(part)?,
                _ => window.frame = Some(self.frame(part)?),
            }
        }
        Ok(window)
    }

    fn frame(&self, node: Node<'_>) -> Result<Frame> {
        let span = self.span(&node);
        let mut unit = FrameUnit::Rows;
        let mut bounds = Vec::with_capacity(2);
        let mut exclusion = FrameExclusion::None;
        for part in children(node) {
            match part.as_rule() {
                Rule::frame_unit => {
                    unit = match self.text(&part).to_ascii_lowercase().as_str() {
                        "range" => FrameUnit::Range,
                        "groups" => FrameUnit::Groups,
                        _ => FrameUnit::Rows,
                    };
                }
                Rule::frame_bound => bounds.push(self.frame_bound(part)?),
                _ => {
                    exclusion = if has(&part, Rule::exclude_row) {
                        FrameExclusion::CurrentRow
                    } else if has(&part, Rule::exclude_group) {
                        FrameExclusion::Group
                    } else if has(&part, Rule::exclude_ties) {
                        FrameExclusion::Ties
                    } else {
                        FrameExclusion::None
                    };
                }
            }
        }
        let mut bounds = bounds.into_iter();
        let start = bounds.next().ok_or_else(|| broken("a frame's start"))?;
        let end = bounds.next();
        let wrong = |message: &str| Err(Error::new(SqlState("42P20"), message).at(span));
        match (&start, &end) {
            (FrameBound::UnboundedFollowing, _) => {
                wrong("a frame cannot start at UNBOUNDED FOLLOWING")
            }
            (_, Some(FrameBound::UnboundedPreceding)) => {
                wrong("a frame cannot end at UNBOUNDED PRECEDING")
            }
            (FrameBound::Following(_), None) => {
                wrong("a frame that starts after the current row cannot end at it")
            }
            (FrameBound::CurrentRow, Some(FrameBound::Preceding(_))) => {
                wrong("a frame that starts at the current row cannot end before it")
            }
            (FrameBound::Following(_), Some(FrameBound::Preceding(_) | FrameBound::CurrentRow)) => {
                wrong("a frame that starts after the current row cannot end before it")
            }
            _ => Ok(Frame {
                unit,
                start,
                end,
                exclusion,
                span,
            }),
        }
    }

    fn frame_bound(&self, node: Node<'_>) -> Result<FrameBound> {
        let bound = child(node, "a frame's bound")?;
        let preceding = has(&bound, Rule::frame_preceding);
        match bound.as_rule() {
            Rule::frame_current => Ok(FrameBound::CurrentRow),
            Rule::frame_unbounded if preceding => Ok(FrameBound::UnboundedPreceding),
            Rule::frame_unbounded => Ok(FrameBound::UnboundedFollowing),
            _ => {
                let span = self.span(&bound);
                let offset: Expr = match child(bound, "a frame's offset") {
                    Ok(offset) => self.expression(offset)?,
                    Err(_) => return Err(syntax_error("a frame's bound wants a number", span)),
                };
                Ok(if preceding {
                    FrameBound::Preceding(offset)
                } else {
                    FrameBound::Following(offset)
                })
            }
        }
    }
}
