"""The local service.

Kinesis Video Streams as far as boards, players and boto3 use it: one process, which real clients take for AWS.
"""
