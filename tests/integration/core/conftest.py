"""The account the core writes to, and a clock to move."""

from tests.integration import moto_aws

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account
hands = moto_aws.hand_moved_clock
