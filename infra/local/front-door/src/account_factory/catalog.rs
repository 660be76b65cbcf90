//! Products, artifacts and portfolios: everything that can be read before anything is provisioned.

use serde_json::{Value, json};

use crate::pages::Paging;
use crate::reply::Refusal;

/// 2026-01-05T09:00:00Z
const CREATED: u64 = 1_767_603_600;

const TYPE: &str = "CLOUD_FORMATION_TEMPLATE";

/// A product, with its portfolio.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    owner: &'static str,
    description: &'static str,
    artifacts: &'static [Artifact],
    portfolio: Portfolio,
    pub(super) path: &'static str,
}

/// A version of a product.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    active: bool,
}

#[derive(Debug)]
struct Portfolio {
    id: &'static str,
    name: &'static str,
    provider: &'static str,
}

/// Account Factory's active artifact is neither its first nor its last.
pub(super) const ACCOUNT_FACTORY: &Product = &Product {
    id: "prod-4xk7m2qh5zj3s",
    name: "AWS Control Tower Account Factory",
    owner: "AWS Control Tower",
    description: "Creates and configures a new account in AWS Control Tower",
    artifacts: &[
        Artifact {
            id: "pa-2v6cln4wqx5ru",
            name: "AWS Control Tower Account Factory v1",
            active: false,
        },
        Artifact {
            id: "pa-7hd3yf5k2mwte",
            name: "AWS Control Tower Account Factory",
            active: true,
        },
        Artifact {
            id: "pa-5jq4zbt7nvg3a",
            name: "AWS Control Tower Account Factory v2",
            active: false,
        },
    ],
    portfolio: Portfolio {
        id: "port-3q5xnvw7hk2md",
        name: "AWS Control Tower Account Factory Portfolio",
        provider: "AWS Control Tower",
    },
    path: "lpv2-6tq4hzk3wd5nm",
};

/// A product that a search by name finds first, and that is not Account Factory.
const OTHER: &Product = &Product {
    id: "prod-2hq6zlw4ny5fk",
    name: "AWS Control Tower Account Factory Sandbox",
    owner: "Platform Engineering",
    description: "Asks a colleague for a sandbox account",
    artifacts: &[Artifact {
        id: "pa-3mwk5tqz7xb2d",
        name: "1",
        active: true,
    }],
    portfolio: Portfolio {
        id: "port-6znk4wq2xv7ct",
        name: "Platform Engineering",
        provider: "Platform Engineering",
    },
    path: "lpv2-2kd7vqn5xh3zw",
};

/// The launch path of another portfolio that somebody has put Account Factory into.
const OTHER_PATH: (&str, &str) = ("lpv2-5wn3kzq7vt2xd", "Platform Engineering");

const PRODUCTS: &[&Product] = &[OTHER, ACCOUNT_FACTORY];

/// The filter keys of a search for products.
const FILTERS: &[&str] = &["FullTextSearch", "Owner", "ProductType", "SourceProductId"];

const AS_ADMIN: Paging = Paging {
    list: "SearchProductsAsAdmin",
    size: "PageSize",
    token: "PageToken",
    sizes: 0..=20,
    default: 20,
};
const AS_USER: Paging = Paging {
    list: "SearchProducts",
    sizes: 0..=100,
    ..AS_ADMIN
};
const PATHS: Paging = Paging {
    list: "ListLaunchPaths",
    ..AS_ADMIN
};
const PORTFOLIOS: Paging = Paging {
    list: "ListPortfolios",
    sizes: 0..=100,
    ..AS_ADMIN
};

impl Product {
    fn summary(&self) -> Value {
        json!({
            "Id": format!("prodview-{}", self.id.trim_start_matches("prod-")),
            "ProductId": self.id,
            "Name": self.name,
            "Owner": self.owner,
            "ShortDescription": self.description,
            "Type": TYPE,
            "Distributor": "",
            "HasDefaultPath": false,
            "SupportEmail": "",
            "SupportDescription": "",
            "SupportUrl": "",
        })
    }

    fn detail(&self, account: &str, region: &str) -> Value {
        let id = self.id;
        json!({
            "ProductViewSummary": self.summary(),
            "Status": "AVAILABLE",
            "ProductARN": format!("arn:aws:catalog:{region}:{account}:product/{id}"),
            "CreatedTime": CREATED,
        })
    }

    fn artifacts(&self, describe: fn(&Artifact) -> Value) -> Vec<Value> {
        self.artifacts.iter().map(describe).collect()
    }

    fn path(&self) -> Value {
        json!({"Id": self.path, "Name": self.portfolio.name})
    }

    fn has(&self, key: &str, values: &[Value]) -> bool {
        values
            .iter()
            .filter_map(Value::as_str)
            .any(|value| match key {
                "Owner" => self.owner == value,
                "ProductType" => TYPE == value,
                "FullTextSearch" => {
                    let value = value.to_lowercase();
                    let texts = [self.name, self.owner, self.description, self.id];
                    texts.iter().any(|it| it.to_lowercase().contains(&value))
                }
                _ => false,
            })
    }
}

impl Artifact {
    fn summary(&self) -> Value {
        json!({
            "Id": self.id,
            "Name": self.name,
            "Description": "",
            "CreatedTime": CREATED,
        })
    }

    /// The additional members of `DescribeProduct`, which does not show the active artifact.
    fn with_guidance(&self) -> Value {
        let mut summary = self.summary();
        summary["Guidance"] = json!("DEFAULT");
        summary
    }

    fn detail(&self) -> Value {
        let mut detail = self.with_guidance();
        detail["Type"] = json!(TYPE);
        detail["Active"] = json!(self.active);
        detail
    }
}

/// Answers a read operation; `None` for any other.
pub(super) fn answer(
    operation: &str,
    input: &Value,
    (account, region): (&str, &str),
) -> Option<Result<Value, Refusal>> {
    Some(match operation {
        "SearchProductsAsAdmin" => {
            let key = "ProductViewDetails";
            search(input, &AS_ADMIN, key, |it| it.detail(account, region))
        }
        "SearchProducts" => search(input, &AS_USER, "ProductViewSummaries", Product::summary),
        "DescribeProductAsAdmin" => product(input, "Id", "Name").map(|product| {
            json!({
                "ProductViewDetail": product.detail(account, region),
                "ProvisioningArtifactSummaries": product.artifacts(Artifact::summary),
                "Tags": [],
                "TagOptions": [],
                "Budgets": [],
            })
        }),
        "DescribeProduct" => product(input, "Id", "Name").map(|product| {
            json!({
                "ProductViewSummary": product.summary(),
                "ProvisioningArtifacts": product.artifacts(Artifact::with_guidance),
                "Budgets": [],
                "LaunchPaths": [product.path()],
            })
        }),
        "ListProvisioningArtifacts" => product(input, "ProductId", "").map(
            |product| json!({"ProvisioningArtifactDetails": product.artifacts(Artifact::detail)}),
        ),
        "DescribeProvisioningArtifact" => product(input, "ProductId", "ProductName")
            .and_then(|product| artifact(product, input))
            .map(|artifact| {
                json!({
                    "ProvisioningArtifactDetail": artifact.detail(),
                    "Info": {},
                    "Status": "AVAILABLE",
                })
            }),
        "ListPortfolios" => portfolios(input, account, region),
        _ => return None,
    })
}

/// The product that a request names by id or by name.
pub(super) fn product(input: &Value, id: &str, name: &str) -> Result<&'static Product, Refusal> {
    let (key, name) = one_of(input, id, name)?;
    let found = PRODUCTS.iter().copied().find(|it| match key {
        _ if key == id => it.id == name,
        _ => it.name == name,
    });
    found.ok_or_else(|| {
        let by = if key == id { "id" } else { "name" };
        not_found(format!("Product with {by} {name} not found"))
    })
}

/// The artifact that a request names by id or by name.
pub(super) fn artifact(
    product: &'static Product,
    input: &Value,
) -> Result<&'static Artifact, Refusal> {
    let (id, name) = ("ProvisioningArtifactId", "ProvisioningArtifactName");
    let (key, name) = one_of(input, id, name)?;
    let found = product.artifacts.iter().find(|it| match key {
        _ if key == id => it.id == name,
        _ => it.name == name,
    });
    let missing = || not_found(format!("Provisioning artifact {name} not found"));
    found.ok_or_else(missing)
}

/// The product and the artifact to provision.
pub(super) fn to_provision(input: &Value) -> Result<&'static Artifact, Refusal> {
    let product = product(input, "ProductId", "ProductName")?;
    if product.id != ACCOUNT_FACTORY.id {
        let id = product.id;
        return Err(not_found(format!(
            "No launch paths found for resource: {id}"
        )));
    }
    let artifact = artifact(product, input)?;
    if !artifact.active {
        let message = format!(
            "Provisioning artifact {} is not active. Choose the active one.",
            artifact.id
        );
        return Err(invalid(message));
    }
    Ok(artifact)
}

/// The launch paths of Account Factory, by id and name, for a caller with access to so many portfolios. Its own is not
/// the first.
fn launch_paths_of(portfolios: usize) -> Vec<(&'static str, &'static str)> {
    let own = (ACCOUNT_FACTORY.path, ACCOUNT_FACTORY.portfolio.name);
    match portfolios {
        0 => Vec::new(),
        1 => vec![own],
        _ => vec![OTHER_PATH, own],
    }
}

/// Refuses a request to provision that has no launch path, does not say which, or names one that does not exist.
pub(super) fn check_path(input: &Value, portfolios: usize) -> Result<(), Refusal> {
    let paths = launch_paths_of(portfolios);
    if paths.is_empty() {
        return Err(not_found(format!(
            "No launch paths found for resource: {}",
            ACCOUNT_FACTORY.id
        )));
    }
    let (id, name) = (&input["PathId"], &input["PathName"]);
    if id.is_null() && name.is_null() && paths.len() > 1 {
        return Err(invalid(format!(
            "Product {} has several launch paths: give PathId or PathName.",
            ACCOUNT_FACTORY.id
        )));
    }
    let fits = |(path_id, path_name): &(&str, &str)| {
        (id.is_null() || id == path_id) && (name.is_null() || name == path_name)
    };
    if paths.iter().any(fits) {
        return Ok(());
    }
    Err(not_found(format!("Launch path {id}{name} not found.")))
}

/// Whether a portfolio with this id exists.
pub(super) fn has_portfolio(id: &str) -> bool {
    PRODUCTS.iter().any(|it| it.portfolio.id == id)
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParametersException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new("ResourceNotFoundException", message)
}

/// The member that identifies an object: its id or its name, never both.
pub(super) fn one_of<'a>(
    input: &'a Value,
    id: &'a str,
    name: &'a str,
) -> Result<(&'a str, &'a str), Refusal> {
    match (input[id].as_str(), input[name].as_str()) {
        (Some(name), None) => Ok((id, name)),
        (None, Some(name)) => Ok((name, name)),
        _ if name.is_empty() => Err(invalid(format!("{id} is required."))),
        _ => Err(invalid(format!("Give {id} or {name}, but not both."))),
    }
}

fn search(
    input: &Value,
    paging: &Paging,
    key: &str,
    describe: impl Fn(&Product) -> Value,
) -> Result<Value, Refusal> {
    let page = paging.read(input).map_err(invalid)?;
    let none = serde_json::Map::new();
    let filters = input["Filters"].as_object().unwrap_or(&none);
    if let Some(unknown) = filters.keys().find(|it| !FILTERS.contains(&it.as_str())) {
        return Err(invalid(format!("{unknown} is not a filter of products.")));
    }
    let portfolio = &input["PortfolioId"];
    let found = PRODUCTS.iter().filter(|product| {
        let mut filters = filters.iter();
        (portfolio.is_null() || *portfolio == product.portfolio.id)
            && filters.all(|(key, values)| {
                let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
                product.has(key, values)
            })
    });
    let (products, next) = paging.cut(page, (0..).zip(found.map(|it| describe(it))));
    Ok(with_token(json!({key: products}), next))
}

/// `ListLaunchPaths` for a caller with access to so many portfolios of Account Factory.
pub(super) fn launch_paths(input: &Value, portfolios: usize) -> Result<Value, Refusal> {
    let product = product(input, "ProductId", "")?;
    let page = PATHS.read(input).map_err(invalid)?;
    let paths = if product.id == ACCOUNT_FACTORY.id {
        launch_paths_of(portfolios)
    } else {
        vec![(product.path, product.portfolio.name)]
    };
    let paths = paths
        .into_iter()
        .map(|(id, name)| json!({"Id": id, "Name": name, "ConstraintSummaries": [], "Tags": []}));
    let (paths, next) = PATHS.cut(page, (0..).zip(paths));
    Ok(with_token(json!({"LaunchPathSummaries": paths}), next))
}

fn portfolios(input: &Value, account: &str, region: &str) -> Result<Value, Refusal> {
    let page = PORTFOLIOS.read(input).map_err(invalid)?;
    let all = PRODUCTS.iter().map(|it| {
        let portfolio = &it.portfolio;
        let id = portfolio.id;
        json!({
            "Id": id,
            "ARN": format!("arn:aws:catalog:{region}:{account}:portfolio/{id}"),
            "DisplayName": portfolio.name,
            "Description": "",
            "CreatedTime": CREATED,
            "ProviderName": portfolio.provider,
        })
    });
    let (portfolios, next) = PORTFOLIOS.cut(page, (0..).zip(all));
    Ok(with_token(json!({"PortfolioDetails": portfolios}), next))
}

/// An answer with the token of the next page, if any.
pub(super) fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(token) = next {
        answer["NextPageToken"] = json!(token);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, input: &Value) -> Result<Value, Refusal> {
        answer(operation, input, ("999988887777", "eu-west-1")).unwrap()
    }

    fn code(operation: &str, request: &Value) -> String {
        call(operation, request).unwrap_err().code
    }

    #[test]
    fn a_search_by_owner_finds_account_factory_only() {
        let request = json!({"Filters": {"Owner": ["AWS Control Tower"]}});
        let found = call("SearchProductsAsAdmin", &request).unwrap();
        let details = found["ProductViewDetails"].as_array().unwrap();
        assert_eq!(details.len(), 1);
        let summary = &details[0]["ProductViewSummary"];
        assert_eq!(summary["Name"], "AWS Control Tower Account Factory");
        assert_eq!(summary["ProductId"], ACCOUNT_FACTORY.id);
    }

    #[test]
    fn a_search_by_text_finds_the_other_first_page_by_page() {
        let mut request = json!({
            "Filters": {"FullTextSearch": ["account factory"]},
            "PageSize": 1,
        });
        for id in [OTHER.id, ACCOUNT_FACTORY.id] {
            let page = call("SearchProducts", &request).unwrap();
            assert_eq!(page["ProductViewSummaries"][0]["ProductId"], id);
            request["PageToken"] = page["NextPageToken"].clone();
        }
        assert_eq!(request["PageToken"], Value::Null);
        let request = json!({"Filters": {"Name": ["x"]}});
        assert_eq!(
            code("SearchProducts", &request),
            "InvalidParametersException"
        );
    }

    #[test]
    fn one_of_three_artifacts_is_active() {
        let request = json!({"Name": ACCOUNT_FACTORY.name});
        let described = call("DescribeProductAsAdmin", &request).unwrap();
        let artifacts = described["ProvisioningArtifactSummaries"]
            .as_array()
            .unwrap();
        assert_eq!(artifacts.len(), 3);
        let active = artifacts.iter().filter(|it| {
            let request = json!({
                "ProductId": ACCOUNT_FACTORY.id,
                "ProvisioningArtifactId": it["Id"],
            });
            let artifact = call("DescribeProvisioningArtifact", &request).unwrap();
            artifact["ProvisioningArtifactDetail"]["Active"] == true
        });
        assert_eq!(active.count(), 1);
        let request = json!({"ProductId": ACCOUNT_FACTORY.id});
        let listed = call("ListProvisioningArtifacts", &request).unwrap();
        assert_eq!(listed["ProvisioningArtifactDetails"][1]["Active"], true);
    }

    #[test]
    fn missing_objects_are_not_found() {
        let cases = [
            (
                "DescribeProduct",
                json!({"Name": "x"}),
                "ResourceNotFoundException",
            ),
            ("DescribeProduct", json!({}), "InvalidParametersException"),
            (
                "DescribeProduct",
                json!({"Id": ACCOUNT_FACTORY.id, "Name": ACCOUNT_FACTORY.name}),
                "InvalidParametersException",
            ),
        ];
        for (operation, request, expected) in cases {
            assert_eq!(code(operation, &request), expected, "{operation} {request}");
        }
        assert!(answer("CreateProduct", &json!({}), ("", "")).is_none());
    }

    #[test]
    fn only_the_active_artifact_of_account_factory_is_provisioned() {
        let [old, active, _] = ACCOUNT_FACTORY.artifacts else {
            panic!("three artifacts");
        };
        let request = |product: &str, artifact: &str| json!({"ProductId": product, "ProvisioningArtifactId": artifact});
        let code = |request: &Value| to_provision(request).unwrap_err().code;
        let good = request(ACCOUNT_FACTORY.id, active.id);
        assert_eq!(to_provision(&good).unwrap().id, active.id);
        assert_eq!(
            code(&request(ACCOUNT_FACTORY.id, old.id)),
            "InvalidParametersException"
        );
        assert_eq!(
            code(&request(ACCOUNT_FACTORY.id, "pa-x")),
            "ResourceNotFoundException"
        );
        let other = request(OTHER.id, OTHER.artifacts[0].id);
        let refusal = to_provision(&other).unwrap_err();
        assert!(
            refusal.message.starts_with("No launch paths found"),
            "{}",
            refusal.message
        );
    }

    #[test]
    fn the_launch_path_is_named_where_there_are_several() {
        let code = |input: &Value, portfolios| {
            check_path(input, portfolios).map_or_else(|it| it.code, |()| "no".to_owned())
        };
        let (none, own) = (json!({}), json!({"PathId": ACCOUNT_FACTORY.path}));
        let other = json!({"PathName": OTHER_PATH.1});
        let unknown = json!({"PathId": "lpv2-x"});
        for (input, portfolios, expected) in [
            (&none, 0, "ResourceNotFoundException"),
            (&none, 1, "no"),
            (&none, 2, "InvalidParametersException"),
            (&own, 0, "ResourceNotFoundException"),
            (&own, 1, "no"),
            (&own, 2, "no"),
            (&other, 1, "ResourceNotFoundException"),
            (&other, 2, "no"),
            (&unknown, 2, "ResourceNotFoundException"),
        ] {
            assert_eq!(code(input, portfolios), expected, "{input} {portfolios}");
        }
        let unknown = launch_paths(&json!({"ProductId": "prod-x"}), 1).unwrap_err();
        assert_eq!(unknown.code, "ResourceNotFoundException");
        let listed = launch_paths(&json!({"ProductId": ACCOUNT_FACTORY.id}), 2).unwrap();
        let names: Vec<&Value> = listed["LaunchPathSummaries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| &path["Name"])
            .collect();
        assert_eq!(
            names,
            [OTHER_PATH.1, "AWS Control Tower Account Factory Portfolio"]
        );
    }

    #[test]
    fn the_portfolio_has_the_name_that_control_tower_gives_it() {
        let listed = call("ListPortfolios", &json!({})).unwrap();
        let names: Vec<&Value> = listed["PortfolioDetails"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["DisplayName"])
            .collect();
        assert!(names.contains(&&json!("AWS Control Tower Account Factory Portfolio")));
        assert!(has_portfolio(ACCOUNT_FACTORY.portfolio.id));
        assert!(!has_portfolio("port-x"));
    }
}
