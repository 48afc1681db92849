//! `admission publish`: the list, signed and put where the function reads it.

use clap::Args;
use device_pki::AdmissionList;
use device_pki::certificate::{as_rfc3339, rfc3339};
use device_pki::key::Uri;
use durable_files::folder;
use iot_account::{admission as account_admission, counted};
use serde::Serialize;
use time::OffsetDateTime;

use super::Destination;
use super::place::{self, Place};
use crate::cli::plan::{self, Line, Plan};
use crate::cli::{Context, Error};
use crate::state::admission;
use crate::work::admission::{Found, Order};

/// Days that a list counts, unless the user says another number.
const DAYS: u16 = 90;

/// Arguments of `admission publish`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner admission publish --to s3://my-lists/admission
      Publish the first list. Then tell the function: provisioner setup --admission-list s3://my-lists/admission
  provisioner admission publish
      Publish the next one, where the function reads it.
  provisioner admission publish --to /srv/www/lists
      Write the list into a folder, for a web server or the function's package.

The key is made when it is first needed. What other stations have published is taken over first. A list of the same keys with more than \
two thirds of its time left is not published again. When its time is over, no board is registered: run this command from a timer.")]
pub struct Arguments {
    /// Where the list goes: s3://BUCKET/PREFIX, or a folder [default: where the function reads it]
    #[arg(long, value_name = "PLACE")]
    to: Option<Destination>,
    /// Place of the key that signs the list, a file or a key URI; made if it does not exist [default: admission.key]
    #[arg(long, value_name = "FILE|URI")]
    admission_key: Option<Uri>,
    /// Encrypt a new key file with a passphrase
    #[arg(long)]
    encrypt: bool,
    /// Days until the list counts no more
    #[arg(long, default_value_t = DAYS, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    valid_for: u16,
    /// The function [default: JITR]
    #[arg(long, value_name = "NAME|ARN", value_parser = crate::cli::setup::function_name)]
    function: Option<String>,
    /// Publish a list that changes nothing
    #[arg(long)]
    force: bool,
}

/// A list in a plan, or one that was published.
#[derive(Serialize)]
struct List<'a> {
    location: &'a str,
    admission_number: u64,
    admitted_keys: usize,
    #[serde(serialize_with = "as_rfc3339")]
    next_update: OffsetDateTime,
    /// The public key, for the function; `None` in a plan that makes it.
    admission_key: Option<String>,
}

impl<'a> List<'a> {
    fn of(location: &'a str, list: &AdmissionList, key: Option<String>) -> Self {
        Self {
            location,
            admission_number: list.number(),
            admitted_keys: list.count(),
            next_update: list.counts_until(),
            admission_key: key,
        }
    }

    /// What it says of itself.
    fn facts(&self) -> String {
        let Self { admission_number, admitted_keys, next_update, .. } = self;
        let (keys, until) = (counted(*admitted_keys, "key"), rfc3339(*next_update));
        format!("list {admission_number}, {keys}, counts until {until}")
    }
}

struct Publish<'a> {
    place: Place,
    order: Order<'a>,
    found: Found,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    if let Some(Destination::Folder(folder)) = &arguments.to {
        place::check(folder, context)?;
    }
    if arguments.admission_key.as_ref().is_some_and(Uri::holds_a_pin) {
        context.note(
            "warning: other users can see a PIN on the command line in the list of processes; \
             use pin-source, MICROCHIP_IOT_PASSPHRASE or the prompt",
        );
    }
    let order = Order {
        key: arguments.admission_key.as_ref(),
        encrypt: arguments.encrypt,
        days: arguments.valid_for,
        force: arguments.force,
        now: OffsetDateTime::now_utc(),
    };
    let place = Place::find(arguments.to.as_ref(), arguments.function.as_deref(), context).await?;
    let found = look(&place, &order, context).await?;
    plan::run(context, Publish { place, order, found }).await
}

/// Publishes the list as `admission publish` does without flags.
///
/// # Errors
/// As [`run`].
pub(super) async fn where_the_function_reads_it(context: &Context) -> Result<(), Error> {
    let arguments = Arguments {
        to: None,
        admission_key: None,
        encrypt: false,
        valid_for: DAYS,
        function: None,
        force: false,
    };
    run(&arguments, context).await
}

async fn look(place: &Place, order: &Order<'_>, context: &Context) -> Result<Found, Error> {
    let progress = context.progress("looking at the published list");
    let published = place.published().await?;
    drop(progress);
    Ok(Found::look(&context.home, &context.keys, published, order, &place.location())?)
}

impl Publish<'_> {
    fn is_done(&self) -> bool {
        self.found.is_current && !self.order.force
    }

    fn line(&self) -> Result<Line, Error> {
        let location = &self.place.location();
        let key = self.found.key()?.map(|key| key.to_string());
        if let (true, Some(list)) = (self.is_done(), &self.found.published) {
            let row = List::of(location, list, key);
            return Ok(Line::new("leave", format_args!("{location} stays: {}", row.facts()), &row));
        }
        let count = self.found.admitted.keys().count();
        let next_update = Found::next_update(&self.order);
        let row = List {
            location,
            admission_number: self.found.number,
            admitted_keys: count,
            next_update,
            admission_key: key,
        };
        let text = format!(
            "would publish a list of {} at {location}, which counts until {}",
            counted(count, "key"),
            rfc3339(next_update)
        );
        Ok(Line::new("publish", text, &row))
    }

    fn tell_of_others(&self, context: &Context) {
        let (added, removed) = self.found.from_others;
        if added + removed > 0 {
            context.note(format_args!(
                "from other stations: {} added, {removed} removed",
                counted(added, "key")
            ));
        }
    }
}

impl Plan for Publish<'_> {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        self.tell_of_others(context);
        Ok(vec![self.line()?])
    }

    async fn carry_out(mut self, context: &Context) -> Result<(), Error> {
        context.home.create()?;
        folder::check_writable(context.home.root())?;
        let _lock = admission::lock(&context.home)?;
        // Another run may have added keys, or published, since the plan was made.
        self.found = look(&self.place, &self.order, context).await?;
        self.tell_of_others(context);
        if self.is_done() {
            self.line()?.show(context);
            if let Some(list) = &self.found.published {
                self.found.admitted.write(&context.home)?;
                admission::keep_list(&context.home, list)?;
            }
            context.note("nothing to do; --force publishes all the same");
            return Ok(());
        }
        let (list, key) = self.found.sign(&context.home, &context.keys, &self.order)?;
        match &self.place {
            Place::Folder(folder) => {
                folder::create_for_all(folder).map_err(Error::Named)?;
                let file = folder.join(jitr::admission::FILE);
                durable_files::write_named(&file, list.der()).map_err(Error::Named)?;
            }
            Place::Url(account, url) => {
                let progress = context.progress("publishing");
                account_admission::put(account, url, &list, self.found.version()).await?;
                drop(progress);
            }
        }
        admission::keep_list(&context.home, &list)?;
        let location = self.place.location();
        let row = List::of(&location, &list, Some(key.to_string()));
        let text = format!("{location}: {}; its key is {key}", row.facts());
        plan::tell(context, "publish", text, &row);
        Ok(())
    }
}
