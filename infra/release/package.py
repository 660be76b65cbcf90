"""The template as others deploy it: the code comes from a bucket of theirs, the rest stays to the letter."""

import re

# What the template takes from this repository, each a path that `sam deploy` would upload.
CODE = re.compile(r"^( +)CodeUri: target/lambda/([a-z-]+)/$", re.MULTILINE)
DEFINITION = re.compile(r"^( +)DefinitionUri: (infra/[a-z.-]+)$", re.MULTILINE)
LOCAL_PATH = re.compile(r"^ +(?:CodeUri|ContentUri|DefinitionUri|TemplateURL|Location): +(?!s3:|https:|!)\S.*$", re.MULTILINE)

PARAMETERS = """Parameters:
  CodeBucket:
    Type: String
    AllowedPattern: ^[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]$
    Description: Bucket to which the files of the release were copied. Lambda needs it in this Region.
  CodePrefix:
    Type: String
    Default: {prefix}
    AllowedPattern: ^([A-Za-z0-9!_.*'()-]+/)*$
    Description: Where in the bucket they are; it ends with a slash, and is empty for the top.
"""


def functions(template):
    """The functions whose code the template takes."""
    return sorted(match[2] for match in CODE.finditer(template))


def packaged(template, version):
    """The template with the code in a bucket, for either architecture, and the files that it takes beside the zips."""
    files = sorted({match[2] for match in DEFINITION.finditer(template)})
    text = CODE.sub(r"\1CodeUri: { Bucket: !Ref CodeBucket, Key: !Sub '${CodePrefix}${Architecture}/\2.zip' }", template)
    text = DEFINITION.sub(r"\1DefinitionUri: { Bucket: !Ref CodeBucket, Key: !Sub '${CodePrefix}\2' }", text)
    before, section, after = text.partition("\nParameters:\n")
    if not section:
        raise ValueError("the template has no section Parameters")
    text = f"{before}\n{PARAMETERS.format(prefix=f'orgkeeper/{version}/')}{after}"
    left = [match[0].strip() for match in LOCAL_PATH.finditer(text) if "{" not in match[0]]
    if left:
        raise ValueError(f"only files of this repository have these: {', '.join(left)}")
    return text, files
