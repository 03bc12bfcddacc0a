"""The owner's own CDN in front of the images bucket, for a stack whose ImagesBaseUrl is given.

The template then creates no distribution, but its bucket policy admits the distributions of the
account. This one has the same settings as the template's, so a local stack answers alike.
"""

from typing import Any

CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CORS_AND_SECURITY_HEADERS = "e61eb60c-9c35-4d20-a928-2b84e02af89c"


def create_distribution(cloudfront: Any, bucket: str, region: str) -> None:
    """Serve a bucket with a new distribution."""
    access = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": f"{bucket}-own-cdn",
            "OriginAccessControlOriginType": "s3",
            "SigningBehavior": "always",
            "SigningProtocol": "sigv4",
        }
    )["OriginAccessControl"]
    cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": bucket,
            "Comment": "The owner's own CDN",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "images",
                        "DomainName": f"{bucket}.s3.{region}.amazonaws.com",
                        "OriginAccessControlId": access["Id"],
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "images",
                "ViewerProtocolPolicy": "https-only",
                "AllowedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
                "Compress": False,
                "CachePolicyId": CACHING_OPTIMIZED,
                "ResponseHeadersPolicyId": CORS_AND_SECURITY_HEADERS,
            },
        }
    )
