//! Reads a template before it is compiled, and refuses what it must not or cannot do.
//!
//! Refused are names that do not exist, so that a misspelling shows at the start. Refused is also what would let a
//! text grow without end: variables (`set`, `with`), calls, `*`, and loops over anything but a list or an object of the
//! message. So a value in a template is never longer than a few copies of the message.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, ForLoop, Stmt};
use minijinja::machinery::{Span, WhitespaceConfig, parse};
use minijinja::syntax::SyntaxConfig;

use crate::exchange::template::filters::{FILTERS, LOOPS, TESTS};
use crate::exchange::template::flaw::Flaw;
use crate::exchange::template::limits::{JOINS, TEMPLATE_BYTES};
use crate::exchange::template::values::{
    BATCH_ROOTS, COMMON_ROOTS, PROPERTIES, RESULT_PROPERTIES, RESULT_ROOTS, ROOTS, Wants,
};

/// What a template reads, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    /// What it reads of a message.
    pub(super) wants: Wants,
    /// The places that the engine reports, each with the place of the whole expression.
    pub(super) subjects: BTreeMap<(usize, usize), (usize, usize)>,
}

/// How many messages a template sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sees {
    /// One.
    #[default]
    One,
    /// Those of a request, as `messages`.
    Several,
    /// None: what is made of a request with several.
    None,
}

/// What a template is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Header, query or body of a request.
    #[default]
    Request,
    /// The path of a request.
    Path,
    /// A result, which also sees what became of the message.
    Result,
}

/// What a template reads, or everything that is wrong with it.
pub(super) fn check(source: &str, purpose: Purpose, sees: Sees) -> Result<Read, Vec<Flaw>> {
    if source.len() > TEMPLATE_BYTES {
        let rule = format!("is longer than {} KiB", TEMPLATE_BYTES >> 10);
        return Err(vec![Flaw { line: 1, column: 1, rule, fix: None, unknown: None }]);
    }
    let parsed = parse(source, "template", SyntaxConfig, WhitespaceConfig::default());
    let root = parsed.map_err(|error| vec![syntax_error(source, &error)])?;
    let mut reader = Reader { purpose, sees, ..Reader::default() };
    // A text is at hand already.
    reader.read.wants.body = sees == Sees::Several;
    reader.statement(&root);
    if reader.flaws.is_empty() { Ok(reader.read) } else { Err(reader.flaws) }
}

/// The parser's words quote the template alone.
fn syntax_error(source: &str, error: &minijinja::Error) -> Flaw {
    let (line, column) =
        error.range().map_or((error.line().unwrap_or(1), 1), |range| place(source, range.start));
    let rule = format!("is no valid template: {}", error.detail().unwrap_or("syntax error"));
    Flaw { line, column, rule, fix: None, unknown: None }
}

/// Line and column of an offset in the text, from 1.
pub(super) fn place(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

/// The place of an expression without its filters and tests: `json.a` in `json.a | text`.
fn subject(expression: &Expr<'_>) -> (usize, usize) {
    let (start, end) = offsets(expression.span());
    match expression {
        Expr::GetAttr(attribute) => (subject(&attribute.expr).0, end),
        Expr::GetItem(item) => (subject(&item.expr).0, end),
        Expr::Slice(slice) => (subject(&slice.expr).0, end),
        Expr::Filter(filter) => filter.expr.as_ref().map_or((start, end), subject),
        Expr::Test(test) => subject(&test.expr),
        Expr::BinOp(operation) => (subject(&operation.left).0, end),
        Expr::Compare(compare) => (subject(&compare.expr).0, end),
        Expr::Var(_)
        | Expr::Const(_)
        | Expr::UnaryOp(_)
        | Expr::IfExpr(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Map(_) => (start, end),
    }
}

fn offsets(span: Span) -> (usize, usize) {
    let size = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    (size(span.start_offset), size(span.end_offset))
}

#[derive(Default)]
struct Reader<'a> {
    purpose: Purpose,
    sees: Sees,
    read: Read,
    joins: usize,
    /// The variables of the loops around.
    bound: Vec<BTreeSet<&'a str>>,
    flaws: Vec<Flaw>,
}

impl<'a> Reader<'a> {
    fn statements(&mut self, statements: &[Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(raw) => {
                if let Some(c) =
                    raw.raw.chars().find(|c| self.purpose == Purpose::Path && matches!(c, '?' | '#'))
                {
                    let flaw = Flaw::at(raw.span(), format!("has a `{c}`, which a path cannot have"));
                    self.flaws.push(flaw.fix("write a query into `template.query`"));
                }
            }
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::ForLoop(each) => self.for_loop(each, each.span()),
            Stmt::Set(set) => self.refuse(set.span(), "set"),
            Stmt::SetBlock(set) => self.refuse(set.span(), "set"),
            Stmt::WithBlock(with) => self.refuse(with.span(), "with"),
            Stmt::AutoEscape(block) => self.refuse(block.span(), "autoescape"),
            Stmt::FilterBlock(block) => self.refuse(block.span(), "filter"),
            Stmt::Do(call) => self.refuse(call.span(), "do"),
        }
    }

    fn refuse(&mut self, span: Span, statement: &str) {
        let flaw = Flaw::at(span, format!("has `{{% {statement} %}}`, which does not exist here"));
        self.flaws.push(flaw.fix("there are `if` and `for`"));
    }

    fn for_loop(&mut self, each: &ForLoop<'a>, span: Span) {
        if each.recursive {
            self.flaws.push(Flaw::at(span, "has a recursive loop, which does not exist here"));
        }
        let is_bounded = matches!(&each.iter, Expr::Filter(filter) if LOOPS.contains(&filter.name));
        if !is_bounded {
            let rule = "has a loop over something that may be no list";
            let fix = "write `in … | list`, or `in … | items` for the members of an object";
            self.flaws.push(Flaw::at(each.iter.span(), rule).fix(fix));
        }
        let joins = self.joins;
        let literals = has_literal(&each.iter);
        self.expression(&each.iter);
        if self.joins > joins || literals {
            let rule = "has a loop over something that is not in the message";
            self.flaws.push(
                Flaw::at(each.iter.span(), rule).fix("loop over a constant list, or one of the message"),
            );
        }
        let mut bound = BTreeSet::from(["loop"]);
        names(&each.target, &mut bound);
        self.bound.push(bound);
        each.filter_expr.iter().for_each(|condition| self.expression(condition));
        self.statements(&each.body);
        self.bound.pop();
        self.statements(&each.else_body);
    }

    fn expression(&mut self, expression: &Expr<'a>) {
        self.read.subjects.insert(offsets(expression.span()), subject(expression));
        match expression {
            Expr::Const(_) => {}
            Expr::Var(variable) => self.variable(variable.id, variable.span()),
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                let ends = [&slice.start, &slice.stop, &slice.step];
                ends.into_iter().flatten().for_each(|e| self.expression(e));
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                self.operator(operation.op, operation.span());
                self.expression(&operation.left);
                self.expression(&operation.right);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.expression(&choice.true_expr);
                choice.false_expr.iter().for_each(|e| self.expression(e));
            }
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) {
                    self.flaws.push(Flaw::unknown(filter.span(), "the filter", filter.name, &FILTERS));
                }
                filter.expr.iter().for_each(|e| self.expression(e));
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    self.flaws.push(Flaw::unknown(test.span(), "the test", test.name, &TESTS));
                }
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            Expr::GetAttr(attribute) => {
                self.member(attribute.name);
                self.property(&attribute.expr, attribute.name, attribute.span());
                self.expression(&attribute.expr);
            }
            Expr::GetItem(item) => {
                // What it names may be `json`.
                self.member("json");
                self.expression(&item.expr);
                self.expression(&item.subscript_expr);
            }
            Expr::Call(call) => {
                let flaw = Flaw::at(call.span(), "has a call, and there are no functions");
                self.flaws.push(flaw.fix("use a filter"));
            }
            Expr::List(list) => list.items.iter().for_each(|e| self.expression(e)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|e| self.expression(e)),
        }
    }

    /// Members of `message` and `result` are known; those of a loop's variable are not.
    fn property(&mut self, of: &Expr<'a>, name: &'a str, span: Span) {
        let Expr::Var(variable) = of else { return };
        if self.is_bound(variable.id) {
            return;
        }
        let (what, known): (_, &'static [&'static str]) = match variable.id {
            "message" => ("the property of `message`", &PROPERTIES),
            "result" if self.purpose == Purpose::Result => ("the property of `result`", &RESULT_PROPERTIES),
            _ => return,
        };
        if !known.contains(&name) {
            self.flaws.push(Flaw::unknown(span, what, name, known));
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) {
        arguments.iter().map(argument).for_each(|e| self.expression(e));
    }

    /// A member of something: of one of several messages it may be its `json`.
    fn member(&mut self, name: &str) {
        self.read.wants.json |= self.sees == Sees::Several && name == "json";
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound.contains(name))
    }

    fn variable(&mut self, name: &'a str, span: Span) {
        if self.is_bound(name) {
            return;
        }
        let known: &'static [&'static str] = match self.sees {
            Sees::One if self.purpose == Purpose::Result => &RESULT_ROOTS,
            Sees::One => &ROOTS,
            Sees::Several => &BATCH_ROOTS,
            Sees::None => &COMMON_ROOTS,
        };
        match name {
            "json" if self.sees == Sees::One => self.read.wants.json = true,
            "body" if self.sees == Sees::One => self.read.wants.body = true,
            name if known.contains(&name) => {}
            "messages" if self.sees == Sees::One => {
                let flaw =
                    Flaw::at(span, "has `messages`, and a request of this listener carries one message");
                self.flaws.push(flaw.fix("write `batch: {size: 10}`"));
            }
            name if ROOTS.contains(&name) || BATCH_ROOTS.contains(&name) => {
                let rule =
                    format!("has `{name}`, which is of single messages, and a request carries several");
                let fix = "in `template.body` write `{% for each in messages | list %}{{ each.body }}{% endfor %}`; elsewhere \
                           there are `listener` and `queue`";
                self.flaws.push(Flaw::at(span, rule).fix(fix));
            }
            name => self.flaws.push(Flaw::unknown(span, "the variable", name, known)),
        }
    }

    fn operator(&mut self, operator: BinOpKind, span: Span) {
        match operator {
            BinOpKind::Mul | BinOpKind::Pow => {
                self.flaws.push(Flaw::at(span, "has a `*`, which could repeat a text without end"));
            }
            BinOpKind::Add | BinOpKind::Concat => {
                self.joins += 1;
                if self.joins == JOINS + 1 {
                    let flaw = Flaw::at(span, format!("has more than {JOINS} `~` and `+`"));
                    self.flaws.push(flaw.fix("write `{{ a }}{{ b }}`"));
                }
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::ScAnd
            | BinOpKind::ScOr
            | BinOpKind::In
            | BinOpKind::Sub
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem => {}
        }
    }
}

fn argument<'e, 'a>(argument: &'e CallArg<'a>) -> &'e Expr<'a> {
    match argument {
        CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => e,
    }
}

/// The variables that a loop assigns.
fn names<'a>(target: &Expr<'a>, found: &mut BTreeSet<&'a str>) {
    match target {
        Expr::Var(variable) => {
            found.insert(variable.id);
        }
        Expr::List(list) => list.items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

/// Whether what a loop goes through is built of variables: `[x, x]` in loops within loops would grow without end.
fn has_literal(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::List(_) | Expr::Map(_) => expression.as_const().is_none(),
        Expr::Filter(filter) => filter.expr.iter().chain(filter.args.iter().map(argument)).any(has_literal),
        Expr::IfExpr(choice) => {
            let both = [Some(&choice.true_expr), choice.false_expr.as_ref()];
            both.into_iter().flatten().any(has_literal)
        }
        Expr::BinOp(operation) => has_literal(&operation.left) || has_literal(&operation.right),
        Expr::Slice(slice) => has_literal(&slice.expr),
        Expr::GetAttr(attribute) => has_literal(&attribute.expr),
        Expr::GetItem(item) => has_literal(&item.expr),
        Expr::Var(_)
        | Expr::Const(_)
        | Expr::UnaryOp(_)
        | Expr::Compare(_)
        | Expr::Test(_)
        | Expr::Call(_) => false,
    }
}
