"""Intrinsic functions over one stack."""

from typing import Any

import pytest

from local.intrinsics import IntrinsicError, Intrinsics


@pytest.fixture
def intrinsics() -> Intrinsics:
    return Intrinsics(
        template={
            "Parameters": {
                "Prefix": {"Type": "String"},
                "Size": {"Type": "Number", "Default": "1"},
                "Origins": {"Type": "CommaDelimitedList", "Default": "a, b"},
            },
            "Conditions": {
                "IsX": {"Fn::Equals": [{"Ref": "Prefix"}, "x"]},
                "IsOne": {"Fn::Equals": [{"Ref": "Size"}, 1]},
                "NotX": {"Fn::Not": [{"Condition": "IsX"}]},
                "Both": {"Fn::And": [{"Condition": "IsX"}, {"Condition": "NotX"}]},
            },
            "Mappings": {"Sizes": {"x": {"small": 8}}},
            "Resources": {"Role": {"Type": "AWS::IAM::Role"}},
        },
        parameters={"Prefix": "x"},
        physical_ids={"Role": "role-1"},
        stack_name="s",
        stack_id="arn:aws:cloudformation:eu-north-1:123456789012:stack/s/1",
        attribute=lambda kind, physical_id, attribute: f"{kind}/{physical_id}/{attribute}",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ({"$ref": "#/x", "other": [1, None]}, {"$ref": "#/x", "other": [1, None]}),
        ({"Ref": "Prefix"}, "x"),
        ({"Ref": "Size"}, "1"),
        ({"Ref": "Role"}, "role-1"),
        ({"Ref": "AWS::AccountId"}, "123456789012"),
        ({"Fn::GetAtt": ["Role", "Arn"]}, "AWS::IAM::Role/role-1/Arn"),
        ({"Fn::Sub": "${Prefix}-${Role.Arn}-${AWS::Region}"}, "x-AWS::IAM::Role/role-1/Arn-eu-north-1"),
        ({"Fn::Sub": ["${a}${Prefix}", {"a": {"Ref": "Role"}}]}, "role-1x"),
        ({"Fn::If": ["IsX", "yes", "no"]}, "yes"),
        ({"Fn::If": ["NotX", "yes", "no"]}, "no"),
        ({"Fn::If": ["IsOne", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"kept": 1, "gone": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
        ([1, {"Fn::If": ["NotX", 2, {"Ref": "AWS::NoValue"}]}], [1]),
        ({"Fn::Join": ["-", ["a", {"Ref": "Prefix"}]]}, "a-x"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Prefix"}, "small"]}, 8),
    ],
)
def test_resolve(intrinsics: Intrinsics, value: Any, expected: Any) -> None:
    assert intrinsics.resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"Ref": "Nothing"}, "Nothing"),
        ({"Fn::GetAtt": ["Nothing", "Arn"]}, "Nothing.Arn"),
        ({"Fn::Sub": "${Nothing}"}, "Nothing"),
        ({"Fn::Sub": "${!Literal}"}, "!Literal"),
        ({"Ref": "Origins"}, "Origins"),
        ({"Ref": "AWS::StackId"}, "AWS::StackId"),
        ({"Fn::ImportValue": "x"}, "Fn::ImportValue"),
        ({"Fn::Select": [0, ["x"]]}, "Fn::Select"),
        ({"Fn::Split": [",", "a,b"]}, "Fn::Split"),
        ({"Fn::If": [{"Fn::Or": []}, 1, 2]}, "Fn::Or"),
    ],
)
def test_what_is_not_known_is_named(intrinsics: Intrinsics, value: Any, named: str) -> None:
    with pytest.raises(IntrinsicError, match=named):
        intrinsics.resolve(value)
