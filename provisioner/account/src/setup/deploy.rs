//! Finds, creates and changes the function, and waits until it can be invoked.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode};

use super::function::{
    Configuration, Deployed, HANDLER, MEMORY, RUNTIME, Replacement, Step, TIMEOUT, Variables,
};
use super::package::Package;
use super::versions::{self, DESCRIPTION};
use super::waiting::{For, PATIENCE, Waiting, is_role_too_new};
use super::{Error, tags};
use crate::{Account, Error as AccountError};

/// The function, if it is there.
pub(crate) async fn find(account: &Account, function: &str) -> Result<Option<Deployed>, AccountError> {
    const ACTION: &str = "lambda:GetFunctionConfiguration";
    let answer = account.lambda().get_function_configuration().function_name(function).send().await;
    let Some(answer) = account.found(ACTION, answer)? else { return Ok(None) };
    let incomplete = AccountError::Incomplete { action: ACTION, what: "the ARN of the function" };
    Deployed::from_answer(&answer).ok_or(incomplete).map(Some)
}

impl Step {
    /// Does it, and waits until the function can be invoked. `busy`: it was being changed when it was found. Gives the number of the
    /// version that keeps what ran before.
    pub(crate) async fn apply(
        &self,
        account: &Account,
        function: &str,
        ca: Option<&str>,
        busy: bool,
    ) -> Result<Option<String>, AccountError> {
        if busy {
            settled(account, function).await?;
        }
        let mut kept = None;
        match self {
            Self::Leave => {}
            Self::Create { package, role, variables } => {
                create(account, function, package, role, variables, ca).await?;
                settled(account, function).await?;
            }
            Self::Change { code, configuration, .. } => {
                if let Some(Replacement { package, keeps }) = code {
                    if let Some(sha256) = keeps {
                        kept = Some(keep(account, function, sha256).await?);
                    }
                    account
                        .lambda()
                        .update_function_code()
                        .function_name(function)
                        .zip_file(Blob::new(package.bytes.clone()))
                        .architectures(package.architecture.clone())
                        .send()
                        .await
                        .map_err(account.failed("lambda:UpdateFunctionCode"))?;
                    settled(account, function).await?;
                }
                if *configuration != Configuration::default() {
                    reconfigure(account, function, configuration).await?;
                    settled(account, function).await?;
                }
            }
        }
        Ok(kept)
    }
}

/// Publishes what runs as a version, unless the newest version is just that, and gives its number. `sha256` (base64) is of its code:
/// what somebody else has deployed since is not taken for it.
async fn keep(account: &Account, function: &str, sha256: &str) -> Result<String, AccountError> {
    const ACTION: &str = "lambda:PublishVersion";
    let publish = account.lambda().publish_version().function_name(function).code_sha256(sha256);
    let published = publish.send().await.map_err(account.failed(ACTION))?;
    published.version.ok_or(AccountError::Incomplete { action: ACTION, what: "the number of the version" })
}

/// Creates the function, trying again while the role is too new for AWS Lambda to assume it.
async fn create(
    account: &Account,
    function: &str,
    package: &Package,
    role: &str,
    variables: &Variables,
    ca: Option<&str>,
) -> Result<(), AccountError> {
    let lambda = account.lambda();
    let description = versions::write("", package).unwrap_or_else(|| DESCRIPTION.to_owned());
    let mut waiting = Waiting::start(For::Role);
    loop {
        let mut request = lambda
            .create_function()
            .function_name(function)
            .description(&description)
            .runtime(RUNTIME)
            .handler(HANDLER)
            .architectures(package.architecture.clone())
            .memory_size(MEMORY)
            .timeout(TIMEOUT)
            .role(role)
            .code(FunctionCode::builder().zip_file(Blob::new(package.bytes.clone())).build());
        for (key, value) in tags(ca) {
            request = request.tags(key, value);
        }
        if !variables.is_empty() {
            request = request.environment(environment(variables));
        }
        match request.send().await.map_err(account.failed("lambda:CreateFunction")) {
            Ok(_) => return Ok(()),
            Err(error) if is_role_too_new(&error) => {
                if !waiting.pause().await {
                    return Err(Error::RoleUnusable { role: role.to_owned(), source: error.into() }.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

async fn reconfigure(account: &Account, function: &str, wanted: &Configuration) -> Result<(), AccountError> {
    account
        .lambda()
        .update_function_configuration()
        .function_name(function)
        .set_runtime(wanted.runtime.clone())
        .set_handler(wanted.handler.clone())
        .set_memory_size(wanted.memory)
        .set_timeout(wanted.timeout)
        .set_role(wanted.role.clone())
        .set_environment(wanted.variables.as_ref().map(environment))
        .set_description(wanted.description.clone())
        .send()
        .await
        .map_err(account.failed("lambda:UpdateFunctionConfiguration"))?;
    Ok(())
}

fn environment(variables: &Variables) -> Environment {
    Environment::builder().set_variables(Some(variables.clone().into_iter().collect())).build()
}

/// Waits until the function is neither being made nor being updated.
///
/// The waiters of aws-sdk-lambda 1.156 are not used, because their delays are fixed: those that call `GetFunctionConfiguration`
/// begin with 5 s, and the newer ones with 1 s and the additional permission `lambda:GetFunction`.
async fn settled(account: &Account, function: &str) -> Result<(), AccountError> {
    let mut waiting = Waiting::start(For::Function);
    loop {
        let name = function.to_owned();
        let Some(deployed) = find(account, function).await? else {
            return Err(Error::NoFunction { name }.into());
        };
        if let Some(reason) = deployed.broken() {
            return Err(Error::FunctionBroken { name, reason: reason.to_owned() }.into());
        }
        if !deployed.busy {
            return Ok(());
        }
        if !waiting.pause().await {
            return Err(Error::FunctionSlow { name, seconds: PATIENCE.as_secs() }.into());
        }
    }
}
