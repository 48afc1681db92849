//! Topic rules beside ours, by which the checks of the function can be bypassed.

use super::{Outcome, SetUp, line, tell};
use crate::cli::plan::{self, Line, Plan};
use crate::cli::{Context, Error, given};
use iot_account::Account;
use iot_account::setup::{Action, Link, OtherRule};

/// Carries the plan out, and then disables other rules by which checks can be bypassed, as far as the user consents. Until then
/// devices that they register are registered.
pub(in crate::cli) async fn set_up(context: &Context, plan: SetUp<'_>) -> Result<(), Error> {
    let (account, rules) = (plan.account.clone(), plan.plan.others.clone());
    plan::run(context, plan).await?;
    let others = |consent| Others { account: account.clone(), rules: rules.clone(), consent };
    let global = &context.global;
    let consent = match () {
        () if rules.is_empty() => return Ok(()),
        () if global.yes || global.dry_run => Consent::Vendor,
        () if global.can_ask() => Consent::Every,
        () => Consent::Named,
    };
    match plan::run(context, others(consent)).await {
        Err(Error::Declined) => plan::run(context, others(Consent::Named)).await,
        ended => ended,
    }
}

/// Which of the rules by which checks can be bypassed are disabled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// Those that are named by a flag.
    Named,
    /// Also that of the vendor's stack, of which it is known that it lets everything in.
    Vendor,
    /// Every one, after a question that names them.
    Every,
}

/// Other rules that get the events of registrations.
struct Others {
    account: Account,
    rules: Vec<OtherRule>,
    consent: Consent,
}

impl Others {
    fn disables(&self, rule: &OtherRule) -> bool {
        rule.is_named()
            || match self.consent {
                Consent::Named => false,
                Consent::Vendor => rule.lets_all_in(),
                Consent::Every => rule.bypasses(),
            }
    }

    fn link(&self, rule: &OtherRule) -> Link {
        let mut link = rule.link(self.disables(rule) || rule.lets_all_in());
        if rule.bypasses() && link.action == Action::Leave {
            let disable = format!("disable it with: provisioner setup --disable-rule {}", rule.name);
            link.details.push(given::repeated(disable).into_owned());
        }
        link
    }
}

impl Plan for Others {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(self.rules.iter().map(|rule| line(&self.link(rule))).collect())
    }

    fn question(&self) -> Option<String> {
        let asked = self.rules.iter().filter(|rule| self.disables(rule) && !rule.is_named());
        let asked: Vec<_> = asked.map(|rule| rule.name.as_str()).collect();
        (!asked.is_empty()).then(|| {
            format!(
                "What these rules of the account invoke can register devices that the function refuses. They are disabled, and \
                 not deleted: {}.",
                asked.join(", ")
            )
        })
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        for rule in &self.rules {
            let link = self.link(rule);
            if self.disables(rule) {
                rule.disable(&self.account).await?;
            } else if rule.lets_all_in() {
                let text = format!("{}, not without --yes", link.line(false));
                context.result(text, &Outcome { link: &link, done: false });
                continue;
            }
            tell(context, &link);
        }
        Ok(())
    }
}
