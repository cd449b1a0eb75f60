//! Which Cedar policies the kernel can enforce, and what they say in its terms.
//!
//! Over one resource a rule may ask for its path (equal, or beginning with a text), its address (equal, in a block),
//! its port (compared), its protocol (equal), and whether any of these is one of a list, and combine the
//! answers in any way. Everything else is an error that names the policy and the construct: nothing is
//! ever left out.

mod attributes;

use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, EntityType, EntityUID, Expr, Literal, PrincipalConstraint,
    ResourceConstraint, Template, UnaryOp, Var,
};
use lineage_common::policy::{Operation, Resource};

use self::attributes::Attribute;
use super::condition::Condition;
use super::source::Schema;

/// Something that the kernel cannot enforce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy}: `{construct}` cannot be enforced in the kernel: {why}")]
pub struct Unenforceable {
    /// The policy.
    pub policy: String,
    /// The construct, as Cedar writes it.
    pub construct: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// An operation on one kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// What is done.
    pub operation: Operation,
    /// To what.
    pub resource: Resource,
}

impl Target {
    /// Everything that can be done to everything.
    pub fn all() -> impl Iterator<Item = Self> {
        Operation::ALL
            .iter()
            .flat_map(|&(operation, _, resources)| {
                let of = move |&resource: &Resource| Self {
                    operation,
                    resource,
                };
                resources.iter().map(of)
            })
    }
}

/// When a policy applies to a target.
///
/// # Errors
///
/// The first construct that cannot be enforced.
pub fn condition(
    policy: &Template,
    target: Target,
    schema: &Schema,
) -> Result<Condition, Unenforceable> {
    let reader = Reader {
        policy: policy.id.0.as_str(),
        target,
        schema,
    };
    reader.whole(policy)
}

struct Reader<'a> {
    policy: &'a str,
    target: Target,
    schema: &'a Schema,
}

const ENTITY: &str = "processes and resources are told apart by their attributes, not as entities";
const OPERATOR: &str = "this operator has no table";
const OPERANDS: &str = "one side must be an attribute of the resource, the other a literal";

impl Reader<'_> {
    fn whole(&self, policy: &Template) -> Result<Condition, Unenforceable> {
        match &policy.principal {
            PrincipalConstraint::Any => {}
            PrincipalConstraint::Is(kind) if is_workload(kind) => {}
            PrincipalConstraint::Is(_) => return Ok(Condition::Constant(false)),
            other => return Err(self.refuse(other, ENTITY)),
        }
        let action = match &policy.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => self.is(action),
            ActionConstraint::In(list) => list.iter().any(|action| self.is_in(action)),
        };
        let resource = match &policy.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Is(of) => self.is_resource(&of.to_string()),
            other => return Err(self.refuse(other, ENTITY)),
        };
        if !action || !resource {
            return Ok(Condition::Constant(false));
        }
        let mut parts = Vec::new();
        for clause in policy.clauses() {
            let part = match clause {
                Clause::When(expr) => self.read(expr)?,
                Clause::Unless(expr) => !self.read(expr)?,
            };
            if part == Condition::Constant(false) {
                return Ok(part);
            }
            parts.push(part);
        }
        Ok(Condition::all(parts))
    }

    fn operation(&self) -> &'static str {
        self.target.operation.name().unwrap_or_default()
    }

    /// Whether the action is this one.
    fn is(&self, action: &EntityUID) -> bool {
        is_action(action) && action.eid == self.operation()
    }

    /// Whether the action is this one, or in this group.
    fn is_in(&self, action: &EntityUID) -> bool {
        is_action(action) && self.schema.is_within(self.operation(), &action.eid)
    }

    fn is_resource(&self, name: &str) -> bool {
        self.target.resource.name() == name
    }

    fn read(&self, expr: &Expr) -> Result<Condition, Unenforceable> {
        match expr {
            Expr::Literal(Literal::Bool(value)) => Ok(Condition::Constant(*value)),
            Expr::UnaryOp {
                op: UnaryOp::Not,
                expr,
            } => Ok(!self.read(expr)?),
            Expr::UnaryOp { op, expr: of } => self.family(expr, *op, of),
            Expr::BinaryOp {
                op: BinaryOp::And,
                left,
                right,
            } => match self.read(left)? {
                no @ Condition::Constant(false) => Ok(no),
                left => Ok(Condition::all([left, self.read(right)?])),
            },
            Expr::BinaryOp {
                op: BinaryOp::Or,
                left,
                right,
            } => match self.read(left)? {
                yes @ Condition::Constant(true) => Ok(yes),
                left => Ok(Condition::any([left, self.read(right)?])),
            },
            Expr::BinaryOp { op, left, right } => self.comparison(expr, *op, left, right),
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => match self.read(cond)? {
                Condition::Constant(true) => self.read(then_expr),
                Condition::Constant(false) => self.read(else_expr),
                cond => Ok(Condition::choose(
                    cond,
                    self.read(then_expr)?,
                    self.read(else_expr)?,
                )),
            },
            Expr::Like { expr: of, pattern } => match self.attribute(of) {
                Some(Attribute::Path) => self.like(expr, pattern),
                _ => Err(self.refuse(expr, "only paths and names have prefixes")),
            },
            Expr::Is {
                expr: of,
                entity_type,
                in_expr: None,
            } => match **of {
                Expr::Var(Var::Resource) => Ok(Condition::Constant(
                    self.is_resource(&entity_type.to_string()),
                )),
                Expr::Var(Var::Principal) => Ok(Condition::Constant(is_workload(entity_type))),
                _ => Err(self.refuse(expr, ENTITY)),
            },
            _ => Err(self.refuse(expr, OPERATOR)),
        }
    }

    /// `action == Action::"read"`, `action in [...]`
    fn action(&self, whole: &Expr, op: BinaryOp, list: &Expr) -> Result<Condition, Unenforceable> {
        let one = |expr: &Expr| match expr {
            Expr::Literal(Literal::EntityUID(action)) if op == BinaryOp::In => {
                Ok(self.is_in(action))
            }
            Expr::Literal(Literal::EntityUID(action)) => Ok(self.is(action)),
            _ => Err(self.refuse(whole, OPERANDS)),
        };
        let is = match (op, list) {
            (BinaryOp::In, Expr::Set(list)) => {
                let each = list.iter().map(|expr| one(expr));
                each.collect::<Result<Vec<_>, _>>()?.contains(&true)
            }
            _ => one(list)?,
        };
        Ok(Condition::Constant(is != (op == BinaryOp::NotEq)))
    }

    fn refuse(&self, construct: &impl ToString, why: &'static str) -> Unenforceable {
        Unenforceable {
            policy: self.policy.to_owned(),
            construct: construct.to_string(),
            why,
        }
    }
}

fn is_workload(kind: &EntityType) -> bool {
    kind.to_string() == "Workload"
}

fn is_action(entity: &EntityUID) -> bool {
    entity.ty.to_string() == "Action"
}
