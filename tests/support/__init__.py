"""What tests share: real servers and the processes around them."""
