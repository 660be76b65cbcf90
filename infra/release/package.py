"""Templates as others deploy them: what `sam deploy` would upload comes from a bucket of theirs, the rest stays to the letter."""

import re
from pathlib import PurePosixPath

# What a template takes from this repository, each a path.
CODE = re.compile(r"^( +)CodeUri: target/lambda/([a-z-]+)/$", re.MULTILINE)
DEFINITION = re.compile(r"^( +)DefinitionUri: ([a-z][a-z./-]+)$", re.MULTILINE)
TEMPLATE = re.compile(r"^( +)TemplateURL: ([a-z][a-z./-]+\.yaml)$", re.MULTILINE)
LOCAL_PATH = re.compile(r"^ +(?:CodeUri|ContentUri|DefinitionUri|TemplateURL|Location): +(?!s3:|https:|!|\{)\S.*$", re.MULTILINE)

PARAMETERS = """Parameters:
  CodeBucket:
    Type: String
    AllowedPattern: ^[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]$
    Description: Bucket to which the files of the release were copied. Lambda needs it in this Region.
  CodePrefix:
    Type: String
    Default: orgkeeper/{version}/
    AllowedPattern: ^([A-Za-z0-9!_.*'()-]+/)*$
    Description: Where in the bucket they are; it ends with a slash, and is empty for the top.
"""


def functions(template):
    """The functions whose code the template takes."""
    return sorted(match[2] for match in CODE.finditer(template))


def packaged(template, folder, version):
    """A template that is in that folder of the repository, with bucket and prefix as parameters, for either architecture; and the files
    that it takes beside the zips."""
    files = set()

    def in_bucket(match, key, form):
        path = PurePosixPath(folder, match[2])
        files.add(str(path))
        return form.format(indent=match[1], key=key, path=path)

    text, zips = CODE.subn(r"\1CodeUri: { Bucket: !Ref CodeBucket, Key: !Sub '${CodePrefix}${Architecture}/\2.zip' }", template)
    text = DEFINITION.sub(lambda match: in_bucket(
        match, "DefinitionUri", "{indent}{key}: {{ Bucket: !Ref CodeBucket, Key: !Sub '${{CodePrefix}}{path}' }}"), text)
    text = TEMPLATE.sub(lambda match: in_bucket(
        match, "TemplateURL", "{indent}{key}: !Sub https://${{CodeBucket}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/${{CodePrefix}}{path}"), text)
    left = [match[0].strip() for match in LOCAL_PATH.finditer(text)]
    if left:
        raise ValueError(f"only this repository has these files: {', '.join(left)}")
    if not zips and not files:
        return template, []
    before, section, after = text.partition("\nParameters:\n")
    if not section:
        raise ValueError("the template has no section Parameters")
    return f"{before}\n{PARAMETERS.format(version=version)}{after}", sorted(files)
